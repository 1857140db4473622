"""Steps that fit models and judge their predictions."""
