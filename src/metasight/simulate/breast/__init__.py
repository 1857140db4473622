"""Simulated breast cancer: tissue, slides, tables and outcomes whose truth is known."""
