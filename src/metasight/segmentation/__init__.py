"""Nuclei in stained tissue, and how well one segmentation agrees with another."""
