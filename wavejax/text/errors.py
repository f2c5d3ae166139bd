"""What is raised where a text cannot be read."""


class TextError(ValueError):
    """A text that a model's symbols cannot express; the message names the character and says what to do."""
