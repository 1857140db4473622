"""Whole-slide images: read at a stated resolution, find tissue, judge quality, separate stains."""
