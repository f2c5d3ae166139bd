"""Corpora, from recordings to deterministic batches (floor 2)."""
