"""The CPU backend: a WaveNet's loop as machine code, compiled by numba (extra `cpu`)."""
