"""The immune biology of a section: infiltration, lymphoid structures, phenotype, mixing."""
