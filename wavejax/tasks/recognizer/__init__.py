"""Recognisers: speech in, text out."""
