"""Steps on scans: read, judged, the lesion found and measured."""

from metasight.steps.scans.reading import lesion_of, read_ct

__all__ = ["lesion_of", "read_ct"]
