"""How English text is read aloud (floor 1, no jax)."""
