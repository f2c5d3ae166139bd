"""Babblers: models that make sound without being told what, or by a speaker's id alone."""
