"""The error of the drivers."""


class ConditioningError(ValueError):
    """The conditioning does not fit the model or the requested number of samples."""
