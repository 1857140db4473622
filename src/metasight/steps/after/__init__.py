"""Steps on what follows from a risk: unexamined nodes, staging, biology, stability."""
