"""Speakers: text in, speech out."""
