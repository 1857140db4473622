"""What there is to do: every step of a study, planned from what the part before it found."""
