"""How Russian text is read aloud (floor 1, no jax)."""
