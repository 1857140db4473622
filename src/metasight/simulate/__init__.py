"""Known-truth cohorts: pixels, tables and outcome from one latent biology. Simulated, all of it."""
