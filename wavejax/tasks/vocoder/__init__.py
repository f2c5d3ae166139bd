"""Vocoders: features in, waveform out, whatever the model."""
