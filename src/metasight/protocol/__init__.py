"""Protocols: criteria, endpoints and the data dictionary of a study, as data."""
