"""Validation: everyone is judged from Predictions, by the same code."""
