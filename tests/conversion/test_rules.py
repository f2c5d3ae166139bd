"""The table is a bijection, or all that is wrong with it is said at once."""

import numpy as np
import pytest

from wavejax.conversion.rules import (
    ConversionError,
    Ignored,
    Rule,
    apply_rules,
    moved,
    reshaped,
    split,
    stacked,
    weight,
)

ONES = np.ones((2, 3), np.float32)


def test_rules_move_stack_split_and_reshape() -> None:
    tensors = {name: np.arange(6.0).reshape(2, 3) + shift for name, shift in zip("abcd", range(4), strict=True)}
    rules = [
        moved("moved", "a", (1, 0)),
        stacked("stacked", ["b", "c"], axis=1),
        split(["first", "second"], "d"),
        reshaped("flat", "e", (3, 2), (1, 0)),
    ]
    tensors["e"] = np.arange(6.0)
    shapes = {"moved": (3, 2), "stacked": (2, 2, 3), "first": (1, 3), "second": (1, 3), "flat": (2, 3)}
    params, used, ignored = apply_rules("the file", rules, [], tensors, shapes)
    assert (used, ignored) == (5, {})
    np.testing.assert_array_equal(params["moved"], tensors["a"].T)
    np.testing.assert_array_equal(params["stacked"][:, 1], tensors["c"])
    np.testing.assert_array_equal(params["second"], tensors["d"][1:])
    np.testing.assert_array_equal(params["flat"], [[0, 2, 4], [1, 3, 5]])
    assert {str(array.dtype) for array in params.values()} == {"float32"}


def test_all_that_is_wrong_is_reported_together() -> None:
    rules = [
        moved("one", "a"),
        moved("two", "a"),
        moved("two", "b"),
        moved("three", "absent"),
        moved("foreign", "c"),
        moved("shape", "d"),
        split(["p", "q"], "e", axis=1),
        Rule(("r", "s"), ("f",), lambda array: [array]),
    ]
    ignored = [Ignored("b", "it is constant"), Ignored("g*", "a buffer", np.zeros(3))]
    tensors = {**{name: ONES for name in "abcdef"}, "gone": ONES, "known to nobody": ONES}
    expected = {name: (2, 3) for name in ("one", "two", "three", "p", "q", "r", "s", "empty")} | {"shape": (6,)}
    with pytest.raises(ConversionError, match=r"^the file does not fit in 11 ways: ") as caught:
        apply_rules("the file", rules, ignored, tensors, expected)
    assert (
        caught.value.violations
        == (
            "'b' is used, and listed as ignored (it is constant)",
            "'gone' has the shape (2, 3), expected (3,): the features are others",
            "'absent' is missing",
            "'a' is used 2 times",
            "'known to nobody' is not known",
            "parameter two is filled 2 times",
            "the model has no parameter foreign",
            "parameter empty is not filled",
            "parameter shape has the shape (6,), and d makes (2, 3)",
            "e: array split does not result in an equal division",
            "f makes 1 parameters, expected 2",
        )
        + caught.value.violations[11:]
    )


def test_half_a_normalised_weight_is_missed() -> None:
    with pytest.raises(ConversionError, match=r"'layer\.weight_g' is missing"):
        apply_rules(
            "the file",
            [weight("w", "layer", ["layer.weight_v"], (0, 1))],
            [],
            {"layer.weight_v": ONES},
            {"w": (2, 3)},
        )
    both = {"layer.weight_v": ONES, "layer.weight_g": np.ones((2, 1)), "layer.weight": ONES}
    with pytest.raises(ConversionError, match=r"'layer\.weight' is not known"):
        apply_rules("the file", [weight("w", "layer", both, (0, 1))], [], both, {"w": (2, 3)})
