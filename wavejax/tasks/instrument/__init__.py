"""Instruments: notes in, waveform out."""
