"""The error that every reader and writer of sound raises."""


class AudioError(ValueError):
    """An audio file cannot be read or written; the message names the path, what is wrong and the remedy."""
