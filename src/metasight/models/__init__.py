"""Models: specifications that fit, and fitted models that predict and give their state as JSON."""
