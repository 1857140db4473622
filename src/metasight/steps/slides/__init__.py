"""Steps on slides: checked, read, aligned, measured, painted, embedded."""
