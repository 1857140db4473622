"""Steps from tables to the data that models read."""
