"""Known-truth lung cohorts: chest CT, PET, tables and nodal stage from one latent biology."""
