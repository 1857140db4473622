"""The immune biology of a section: infiltration, tertiary lymphoid structures, phenotype, mixing."""
