"""How a composer learns: from parameters of an earlier one, which lack the table of voice leading."""

import jax
import numpy as np
import pytest

from tests.tiny.chorale import make
from tests.tiny.scores import tiny_composer
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.composer.learner import learner


def test_the_table_of_voice_leading_may_be_missing_and_nothing_else() -> None:
    made, params = learner(tiny_composer()), make("chorales")[1]
    old = {name: leaf for name, leaf in params.items() if name != "motion_bias"}
    fresh = made.init(jax.random.key(0))
    adopted = made.adopt(fresh, old, "old/").params
    np.testing.assert_array_equal(adopted["interval_bias"], params["interval_bias"])
    table = np.asarray(adopted["motion_bias"])
    assert table[3, 0, 7, 7] == table[1, 0, 0, 0] == -4
    assert table[:, :, 1:7].max() == table[:, :, 1:7].min() == 0
    np.testing.assert_array_equal(made.adopt(fresh, params, "new/").params["motion_bias"], params["motion_bias"])
    del old["interval_bias"]
    with pytest.raises(ExperimentError, match=r"old/ does not fit the model: .*interval_bias.* it holds nothing"):
        made.adopt(fresh, old, "old/")
