"""Steps on scans: read, judged, the lesion found and measured."""
