"""Estimators of one sample, slow and plain: what the package computes in every resample is checked
against them, and they against R (``tests/reference``).
"""
