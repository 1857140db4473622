"""Features: the columns that models read, their modality, and how they become a design matrix."""
