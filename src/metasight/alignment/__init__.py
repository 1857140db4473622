"""Two sections of one block brought together, with how far off that is."""
