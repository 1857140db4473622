"""Markers as cells and as cells per mm² on a grid."""
