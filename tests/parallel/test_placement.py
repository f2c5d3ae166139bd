"""Where an array is split."""

import pytest

from wavejax.parallel.placement import split_axis


@pytest.mark.parametrize(
    ("shape", "parts", "axis"),
    [((24, 3, 128, 256), 8, 3), ((24, 3, 128, 256), 24, 0), ((128, 128), 128, 0), ((6, 10), 4, None), ((), 2, None)],
)
def test_the_largest_dimension_that_divides(shape: tuple[int, ...], parts: int, axis: int | None) -> None:
    assert split_axis(shape, parts) == axis


def test_nothing_is_not_split() -> None:
    assert split_axis((0, 3), 2) is None
