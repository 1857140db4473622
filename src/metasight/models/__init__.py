"""Models: specifications that fit, fitted models that predict, and the one place both meet data (crossfit)."""
