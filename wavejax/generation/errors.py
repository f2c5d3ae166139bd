"""What the drivers refuse."""


class ConditioningError(ValueError):
    """Conditioning that does not fit the model or the number of samples asked for."""
