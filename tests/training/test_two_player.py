"""The step of two players finds a known equilibrium, and is one update whatever the devices and the accumulation."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.checkpoints.states import assert_equal_bits
from tests.training.two_players import (
    DISCRIMINATOR,
    GENERATOR,
    LOSS,
    PLAIN,
    discriminator_params,
    generator_params,
    make_batch,
    make_step,
    run,
    start,
    train,
)
from wavejax.checkpoints import CheckpointStore
from wavejax.parallel import get_strategy
from wavejax.training import (
    SHARDABLE_FIELDS,
    CallHook,
    CheckpointHook,
    NonFiniteError,
    OptimizerConfig,
    TrainState,
    TwoPlayerLoss,
    create_two_player_state,
    evaluate,
    fit,
    make_two_player_eval_step,
    make_two_player_step,
)

# ---------------------------------------------------------------------------------------------- known equilibria


def dirac_gan(penalty: float) -> TwoPlayerLoss:
    """Mescheder et al. 2018 (arXiv 1801.04406), section 2, with f(t) = t: data at 0, a generator at theta,
    D(x) = psi x. Its only equilibrium is theta = psi = 0, around which undamped alternating updates circle."""

    def forward(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
        return jnp.broadcast_to(params["theta"], batch["real"].shape), model_state

    def generator(params: dict, fake: jax.Array, batch: dict, keys: jax.Array, weight: jax.Array) -> tuple:
        return -weight * jnp.sum(params["psi"] * fake), jnp.float32(fake.shape[0]), {}

    def discriminator(params: dict, fake: jax.Array, batch: dict, keys: jax.Array) -> tuple:
        psi, rows = params["psi"], fake.shape[0]
        return (
            jnp.sum(psi * fake - psi * batch["real"]) + rows * jnp.float32(penalty / 2) * jnp.sum(psi**2),
            jnp.float32(rows),
            {},
        )

    return TwoPlayerLoss(forward, generator, discriminator)


def distances_from_equilibrium(penalty: float, **options: Any) -> list[float]:
    """Of every 100th of 1000 alternating updates, from theta = psi = 1."""
    sgd = optax.sgd(0.1)
    step = jax.jit(make_two_player_step(dirac_gan(penalty), sgd, sgd, **options))
    state = create_two_player_state({"theta": jnp.ones((1,))}, {"psi": jnp.ones((1,))}, sgd, sgd, key=0)
    distances = []
    for number in range(1000):
        state, _ = step(state, {"real": jnp.zeros((4,))})
        if number % 100 == 99:
            distances.append(
                float(np.hypot(state.params["generator"]["theta"], state.params["discriminator"]["psi"])[0])
            )
    return distances


@pytest.mark.parametrize("share_forward", [False, True])
def test_the_dirac_gan_reaches_its_equilibrium_with_a_gradient_penalty(share_forward: bool) -> None:
    distances = distances_from_equilibrium(1.0, share_forward=share_forward)
    assert distances[-1] < 1e-3
    assert distances[0] > 1e-3  # it was not there from the beginning


def test_without_the_penalty_it_circles() -> None:
    """The control: the same players, which a step that damped the game by mistake would let converge."""
    assert min(distances_from_equilibrium(0.0)) > 1


def moments_apart(penalty: float) -> np.ndarray:
    """|mu - 2| and |sigma - 1/2| after a game of x = mu + sigma z against a x + b x^2 on data N(2, 1/4), 5 turns."""

    def said(params: dict, x: jax.Array) -> jax.Array:
        return params["a"] * x + params["b"] * x**2

    def forward(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
        return params["mu"] + params["sigma"] * jax.vmap(jax.random.normal)(keys), model_state

    def generator(params: dict, fake: jax.Array, batch: dict, keys: jax.Array, weight: jax.Array) -> tuple:
        return -weight * jnp.sum(said(params, fake)), jnp.float32(fake.shape[0]), {}

    def discriminator(params: dict, fake: jax.Array, batch: dict, keys: jax.Array) -> tuple:
        slope = params["a"] + 2 * params["b"] * batch["real"]
        total = jnp.sum(said(params, fake) - said(params, batch["real"]) + jnp.float32(penalty / 2) * slope**2)
        return total, jnp.float32(fake.shape[0]), {}

    loss = TwoPlayerLoss(forward, generator, discriminator)
    slow, fast = optax.sgd(0.01), optax.sgd(0.02)
    step = jax.jit(make_two_player_step(loss, slow, fast, turns=5, split_rows=True, ema_decay=0.99))
    params = {"mu": jnp.zeros(()), "sigma": jnp.ones(())}
    state = create_two_player_state(params, {"a": jnp.zeros(()), "b": jnp.zeros(())}, slow, fast, key=0)
    draw = np.random.default_rng(0)
    for _ in range(1500):
        state, _ = step(state, {"real": (2 + 0.5 * draw.normal(size=320)).astype(np.float32)})
    return np.abs([float(state.ema_params["mu"]) - 2, abs(float(state.ema_params["sigma"])) - 0.5])


def test_a_gaussian_is_learnt_with_five_turns_of_the_critic() -> None:
    assert max(moments_apart(1.0)) < 0.05


def test_a_gaussian_is_not_learnt_without_the_penalty() -> None:
    apart = moments_apart(0.0)
    assert not max(apart) < 0.05


# ------------------------------------------------------------------------------------------- one update, by hand


def keys_of(step: int, player: int, rows: int) -> tuple[jax.Array, jax.Array]:
    """Of each example one for the forward and one for the loss, written once more from the documentation."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(5), step), player)
    pairs = jax.vmap(lambda i: jax.random.split(jax.random.fold_in(key, i)))(jnp.arange(rows, dtype=jnp.int32))
    return pairs[:, 0], pairs[:, 1]


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def by_hand(state: TrainState, batch: dict, turns: int, share: bool, together: bool) -> tuple[Any, dict]:
    """The first step without any of the package's pieces."""
    params, rows = state.params, batch["real"].shape[0]
    own_keys = keys_of(0, 0, rows)

    def mean(parts: tuple) -> tuple:
        return parts[0] / jnp.float32(parts[1]), parts[2]

    def optimize(config: OptimizerConfig, gradient: Any, opt_state: Any, params: Any) -> tuple:
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = config.build().update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    def their_loss(outputs: dict, keys: jax.Array, p: dict) -> tuple:
        return mean(LOSS.discriminator(p, outputs, batch, keys))

    theirs, opt_state, losses, norms = params["discriminator"], state.opt_state["discriminator"], [], []
    for turn in range(turns):
        forward_keys, loss_keys = keys_of(0, turn + 1, rows)
        outputs, _ = LOSS.forward(params["generator"], {}, batch, own_keys[0] if share else forward_keys)
        of = functools.partial(their_loss, outputs, loss_keys)
        (loss, _), gradient = jax.value_and_grad(of, has_aux=True)(theirs)
        theirs, opt_state = optimize(DISCRIMINATOR, gradient, opt_state, theirs)
        losses.append(loss)
        norms.append(optax.tree.norm(gradient))

    def generator_loss(p: dict) -> tuple:
        outputs, _ = LOSS.forward(p, {}, batch, own_keys[0])
        against = params["discriminator"] if together else theirs
        return mean(LOSS.generator(against, outputs, batch, own_keys[1], jnp.float32(1)))

    (loss, metrics), gradient = jax.value_and_grad(generator_loss, has_aux=True)(params["generator"])
    ours, _ = optimize(GENERATOR, gradient, state.opt_state["generator"], params["generator"])
    return {"generator": ours, "discriminator": theirs}, {
        "loss": loss,
        "gradient_norm": optax.tree.norm(gradient),
        "own": metrics["own"] / jnp.float32(jnp.sum(batch["mask"])),
        "discriminator_loss": jnp.mean(jnp.stack(losses)),
        "discriminator_gradient_norm": jnp.mean(jnp.stack(norms)),
    }


@pytest.mark.parametrize(
    ("turns", "share", "together"), [(1, False, False), (5, False, False), (1, True, False), (1, True, True)]
)
def test_a_step_is_the_one_that_is_written_out(turns: int, share: bool, together: bool) -> None:
    """So each player moves by its own gradient only: here it is taken with respect to nothing else."""
    batch = jax.tree.map(jnp.asarray, make_batch(0))
    options = {"turns": turns, "share_forward": share, "simultaneous": together}
    state, metrics = jax.jit(make_step(**options))(start(), batch)
    params, expected = by_hand(start(), batch, turns, share, together)
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=0, atol=1e-6), state.params, params)
    got = {name: float(value) for name, value in metrics.items()}
    assert {name: got[name] for name in expected} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, rel=1e-5
    )
    assert set(got) == {
        *("loss", "weight", "gradient_norm", "learning_rate", "finite", "own", "positive"),
        *("discriminator_loss", "discriminator_gradient_norm", "discriminator_learning_rate", "discriminator_real"),
    }
    assert got["weight"] == make_batch(0)["mask"].sum()
    assert (got["learning_rate"], got["discriminator_learning_rate"]) == pytest.approx((0.01 / 4, 0.02))


@pytest.mark.parametrize("share", [False, True])
def test_the_players_gradients_are_separate(share: bool) -> None:
    """Each loss, multiplied by nothing, leaves its player where it is, though the other's depends on it."""
    sgd = optax.sgd(0.1)

    def silent(losses: Any) -> Any:
        return lambda *arguments: (jnp.float32(0) * losses(*arguments)[0], jnp.float32(1), {})

    for still, moving in [("generator", "discriminator"), ("discriminator", "generator")]:
        loss = LOSS._replace(**{still: silent(getattr(LOSS, still))})
        step = jax.jit(make_two_player_step(loss, sgd, sgd, share_forward=share))
        before = create_two_player_state(generator_params(), discriminator_params(), sgd, sgd, key=0)
        after, _ = step(before, make_batch(0))
        jax.tree.map(np.testing.assert_array_equal, after.params[still], before.params[still])
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), after.params[moving], before.params[moving])
        assert min(jax.tree.leaves(moved)) > 1e-4


def test_simultaneous_players_share_the_forward_of_the_discriminator() -> None:
    """The compiler finds it: the hidden layer's product of real and of fake, and the output's of fake."""

    def products(**options: Any) -> int:
        step = jax.jit(make_step(PLAIN, share_forward=True, **options))
        text = step.lower(start(), make_batch(0)).compile().as_text()
        return len(re.findall(r" dot\(", text))

    assert products(simultaneous=True) <= products() - 3


# --------------------------------------------------------------------------- the same update, however it is cut

SPLIT = {"turns": 2, "split_rows": True}


@functools.cache
def reference(*options: tuple[str, Any]) -> tuple[TrainState, list]:
    return train("spmd", 1, 8, rows=32, **dict(options))


@pytest.mark.parametrize(
    ("name", "num_devices", "accumulation_steps", "options"),
    [
        ("spmd", 8, 1, {}),
        pytest.param(*("pmap", 8, 1, {}), marks=pytest.mark.slow),
        ("spmd", 1, 4, {}),
        pytest.param(*("pmap", 4, 4, {"turns": 5}), marks=pytest.mark.slow),
        ("spmd", 8, 1, {"turns": 5}),
        ("pmap", 4, 2, {}),
        ("spmd", 8, 2, SPLIT),
        pytest.param(*("pmap", 4, 1, SPLIT), marks=pytest.mark.slow),
        ("spmd", 8, 1, {"share_forward": True}),
        pytest.param(*("spmd", 8, 1, {"share_forward": True, "simultaneous": True}), marks=pytest.mark.slow),
        pytest.param(*("pmap", 8, 1, {"share_forward": True}), marks=pytest.mark.slow),
    ],
)
def test_the_update_does_not_depend_on_how_the_batch_is_cut(
    name: str, num_devices: int, accumulation_steps: int, options: dict
) -> None:
    want_state, want_history = reference(*options.items())
    state, history = train(name, num_devices, 8, rows=32, accumulation_steps=accumulation_steps, **options)
    # Adam divides by the root of its second moment, which magnifies the rounding of the sums a little; moments are sums
    # of large gradients (20 and more), of which 1e-6 is rounding.
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-5), state, want_state)
    for got, want in zip(history, want_history, strict=True):
        assert got == pytest.approx(want, rel=1e-5, abs=1e-5)


def test_turns_with_rows_of_their_own_are_other_turns() -> None:
    whole, split = reference(("turns", 2))[1], reference(*SPLIT.items())[1]
    assert abs(whole[0]["discriminator_loss"] - split[0]["discriminator_loss"]) > 1e-3


def test_moments_and_the_average_may_be_split_over_the_devices() -> None:
    for options in ({"turns": 5}, {"share_forward": True}):
        split = get_strategy("spmd", sharded_fields=SHARDABLE_FIELDS)
        state, _ = run(split, split.place(start()), 8, rows=32, **options)
        assert not state.opt_state["discriminator"][0].mu["hidden"]["kernel"].is_fully_replicated
        assert state.params["discriminator"]["hidden"]["kernel"].is_fully_replicated
        expected, _ = reference(*options.items())
        jax.tree.map(
            lambda got, want: np.testing.assert_allclose(got, want, rtol=0, atol=1e-5), split.fetch(state), expected
        )


@pytest.mark.parametrize(
    ("name", "options"),
    [("spmd", {"turns": 5}), ("pmap", {"adversarial_start": 5}), ("spmd", {"share_forward": True})],
)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path, name: str, options: dict) -> None:
    strategy = get_strategy(name)
    whole, whole_history = run(strategy, strategy.place(start({"seen": jnp.zeros((), jnp.int32)})), 8, **options)
    half, history = run(strategy, strategy.place(start({"seen": jnp.zeros((), jnp.int32)})), 3, **options)
    with CheckpointStore(tmp_path) as store:
        store.save(3, half, {})
        store.wait()
        target = strategy.abstract(jax.eval_shape(lambda: start({"seen": jnp.zeros((), jnp.int32)})))
        restored = store.restore(target).state
    resumed, more = run(strategy, restored, 5, **options)
    assert_equal_bits(strategy.fetch(resumed), strategy.fetch(whole))
    assert history + more == whole_history
    assert strategy.fetch(whole).model_state == {"seen": 8}  # by the generator's own forward, not the critic's turns


# ------------------------------------------------------------------------------------- start, guard, average, fit


@pytest.mark.parametrize(("name", "share"), [("spmd", False), ("pmap", False), ("spmd", True)])
def test_the_adversarial_start_compiles_nothing(name: str, share: bool, compilations: list[str]) -> None:
    strategy = get_strategy(name)
    options = {"adversarial_start": 3, "share_forward": share}
    step, state = strategy.compile(make_step(**options)), strategy.place(start())
    before, seen, rates = strategy.fetch(state), [], []
    for number in range(6):
        state, metrics = step(state, make_batch(number))
        if number == 0:
            compilations.clear()
        same = jax.tree.map(np.array_equal, strategy.fetch(state).params, before.params)
        moments = jax.tree.map(
            np.array_equal, strategy.fetch(state).opt_state["discriminator"], before.opt_state["discriminator"]
        )
        seen.append((all(jax.tree.leaves(same["discriminator"])), all(jax.tree.leaves(moments))))
        assert not any(jax.tree.leaves(same["generator"]))
        assert (abs(float(metrics["loss"]) - float(metrics["own"])) < 1e-5) == (number < 3)
        rates.append(float(metrics["discriminator_learning_rate"]))
    assert compilations == []
    assert seen == [(True, True)] * 3 + [(False, False)] * 3


def test_the_discriminators_schedule_counts_its_own_updates() -> None:
    falling = OptimizerConfig(learning_rate=1.0, schedule="cosine", decay_steps=10)
    step = make_two_player_step(
        LOSS,
        GENERATOR.build(),
        falling.build(),
        turns=2,
        adversarial_start=2,
        discriminator_learning_rate=falling.learning_rate_at,
    )
    step, rates = jax.jit(step), []
    state = create_two_player_state(
        generator_params(), discriminator_params(), GENERATOR.build(), falling.build(), key=5
    )
    for number in range(4):
        state, metrics = step(state, make_batch(number))
        rates.append(float(metrics["discriminator_learning_rate"]))
    np.testing.assert_allclose(rates, np.asarray(falling.learning_rate_at(jnp.asarray([0, 0, 0, 2], jnp.int32))))
    assert int(state.opt_state["discriminator"][-1].count) == 4  # what the next update's rate is taken at


def bad_batches(player: str) -> Iterator[dict]:
    for number in range(100):
        batch = {**make_batch(number), "poison": np.zeros((16, 2), np.float32)}
        if number == 4:
            batch["poison"][3, 0 if player == "generator" else 1] = np.inf
        yield {**batch, "id": np.arange(16) + 16 * number}


def poisoned(column: int, loss: Any) -> Any:
    def of(*arguments: Any) -> tuple:
        loss_sum, weight, metrics = loss(*arguments)
        return loss_sum + jnp.sum(arguments[2]["poison"][:, column]), weight, metrics

    return of


POISONED = LOSS._replace(generator=poisoned(0, LOSS.generator), discriminator=poisoned(1, LOSS.discriminator))


@pytest.mark.parametrize(
    ("player", "name", "options"),
    [
        ("generator", "spmd", {}),
        ("discriminator", "pmap", {"turns": 5}),
        ("discriminator", "spmd", {"share_forward": True}),
    ],
)
def test_a_number_that_is_not_finite_changes_nothing_and_stops_the_run(
    tmp_path: Path, player: str, name: str, options: dict
) -> None:
    strategy = get_strategy(name)
    step = strategy.compile(make_step(POISONED, **options))
    state = strategy.place(start())
    batches = bad_batches(player)
    for _ in range(4):
        state, _ = step(state, next(batches))
    before = strategy.fetch(state)
    state, metrics = step(state, next(batches))
    assert float(metrics["finite"]) == 0
    assert np.isfinite(metrics["loss"]) == (player == "discriminator")
    assert_equal_bits(strategy.fetch(state), before)

    which = "loss inf" if player == "generator" else "discriminator_loss inf"
    with CheckpointStore(tmp_path) as store:
        hooks = [CheckpointHook(store, {}, every=2)]
        with pytest.raises(
            NonFiniteError, match=rf"^step 5: .*{which}.*not finite. Batch ids: 64, .*checkpoint: step 4"
        ):
            fit(step, strategy.place(start()), bad_batches(player), hooks, num_steps=20)


def test_a_gradient_that_is_not_finite_counts_too() -> None:
    def sharp(params: dict, outputs: dict, batch: dict, keys: jax.Array) -> tuple:
        return jnp.sqrt(jnp.sum(params["hidden"]["bias"])), jnp.float32(1), {}  # 0, with an infinite slope

    state, metrics = jax.jit(make_step(LOSS._replace(discriminator=sharp)))(start(), make_batch(0))
    assert np.isfinite(metrics["discriminator_loss"])
    assert (float(metrics["finite"]), int(state.step)) == (0, 0)


def test_the_average_is_the_generators_alone() -> None:
    strategy = get_strategy("spmd", jax.devices()[:1])
    state, average = strategy.place(start()), jax.device_get(generator_params())
    step = strategy.compile(make_step())
    for number in range(5):
        state, _ = step(state, make_batch(number))
        decay = min(0.5, (1 + number) / (10 + number))
        average = jax.tree.map(
            lambda ema, new: decay * ema + (1 - decay) * new,  # noqa: B023
            average,
            strategy.fetch(state).params["generator"],
        )
        jax.tree.map(
            lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-5),
            strategy.fetch(state).ema_params,
            average,
        )


@pytest.mark.parametrize("name", ["spmd", "pmap"])
def test_evaluation_is_of_the_averaged_generator(name: str) -> None:
    strategy = get_strategy(name)
    ema = {"mu": jnp.asarray([2.0, -1.0]), "log_sigma": jnp.full((2,), -jnp.inf)}  # exactly the data's mean
    state = strategy.place(start().replace(ema_params=ema))
    batches = [make_batch(0), make_batch(1, 8)]
    squares = np.concatenate([((b["real"] - [2, -1]) ** 2).mean(axis=1)[b["mask"]] for b in batches])
    own = strategy.compile_evaluation(make_two_player_eval_step(LOSS, adversarial_weight=0.0))
    got = evaluate(own, state, batches)
    assert (got["loss"], got["own"]) == pytest.approx((squares.mean(), squares.mean()), rel=1e-5)
    judged = evaluate(strategy.compile_evaluation(make_two_player_eval_step(LOSS)), state, batches)
    assert judged["own"] == pytest.approx(got["own"])
    assert judged["loss"] > got["loss"] + 0.1
    current = evaluate(strategy.compile_evaluation(make_two_player_eval_step(LOSS, use_ema=False)), state, batches)
    assert current["own"] > got["own"] + 0.1


def test_hooks_see_the_last_learning_rates() -> None:
    strategy, seen = get_strategy("spmd"), []
    batches = (make_batch(number) for number in range(100))
    hooks = [CallHook(lambda step, state, metrics: seen.append(metrics), every=4)]
    result = fit(strategy.compile(make_step()), strategy.place(start()), batches, hooks, num_steps=4)
    assert (result.step, result.reason) == (4, "finished")
    assert seen[0]["learning_rate"] == pytest.approx(0.01)  # the peak, after 1/4, 2/4, 3/4 of it
    assert seen[0]["discriminator_learning_rate"] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"turns": 0}, "turns=0 must be 1 or more"),
        ({"adversarial_start": -1}, "adversarial_start=-1 must be 0 or more updates"),
        ({"split_rows": True}, "split_rows cuts the batch into one part per turn and needs turns of 2 or more"),
        ({"share_forward": True, "turns": 2}, "share_forward needs turns=1 and accumulation_steps=1, got turns=2"),
        ({"share_forward": True, "accumulation_steps": 2}, "share_forward needs .* and accumulation_steps=2: one fake"),
        ({"simultaneous": True}, "simultaneous needs share_forward: without it the players see different fakes"),
        ({"accumulation_steps": 0}, "accumulation_steps=0 must be 1 or more"),
        ({"turns": 3, "split_rows": True}, "16 rows cannot be split over turns=3; .* a multiple of 3 on each device"),
        ({"turns": 2, "split_rows": True, "accumulation_steps": 3}, "8 rows cannot be split into accumulation_steps=3"),
    ],
)
def test_what_is_asked_wrongly_is_explained(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(make_step(**options), start(), make_batch(0))


def test_a_metric_with_the_other_players_name_is_refused() -> None:
    def greedy(params: dict, outputs: dict, batch: dict, keys: jax.Array, weight: jax.Array) -> tuple:
        return jnp.float32(0), jnp.float32(1), {"discriminator_loss": jnp.float32(0)}

    for share in (False, True):
        step = make_step(LOSS._replace(generator=greedy), share_forward=share)
        with pytest.raises(ValueError, match=r"metrics \['discriminator_loss'\] begin with 'discriminator_'"):
            jax.eval_shape(step, start(), make_batch(0))
