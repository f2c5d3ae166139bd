"""Tasks: one folder a product, one file a family, and `families.py`, the table of them all."""
