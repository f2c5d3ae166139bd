"""A state from outside goes on where it ended, or is refused in a sentence: whatever it is, nothing crashes."""

import dataclasses
import inspect
import pickle
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

from tests.generation.odd_states import DROPPED, STRANGE, get, leaf_names, mutated, put
from tests.tiny import wavernn
from tests.tiny.models import draw_params, inputs, make
from wavejax.generation import (
    GenerationState,
    Sampling,
    StateError,
    Streamer,
    encode_conditioning,
    generate,
    init_state,
    run_block,
)
from wavejax.generation.backends import LARGEST_BLOCK, open_backend
from wavejax.generation.engine import block_noise
from wavejax.generation.states import check_stream, entering, fingerprint
from wavejax.models.wavenet import WaveNet, WaveNetConfig

NAME, OTHER, BATCH = "speech-16k", "unconditional-mu-law-scalar", 2
MODEL, PARAMS = make(NAME)
MAKER = fingerprint(MODEL, PARAMS)
GIVEN = inputs(MODEL, BATCH, 12)
BACKENDS = ("scan", "cpu")
_generate = inspect.unwrap(generate)  # as users meet it: without the shape checks that only tests install


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    if request.param == "cpu":
        pytest.importorskip("numba")
    return request.param


@pytest.fixture(scope="module")
def states(backend):
    """After 30 samples; and that of another model."""
    options = {"return_state": True, "backend": backend, "batch_size": BATCH}
    _, state = generate(MODEL, PARAMS, num_samples=30, **options, **GIVEN)
    _, other = generate(*make(OTHER), num_samples=30, **options)
    return state, other


@pytest.fixture
def state(states) -> GenerationState:
    return states[0]


def go_on(state, backend, model=MODEL, params=PARAMS, given=GIVEN):
    return _generate(model, params, num_samples=15, state=state, backend=backend, **given)


def refused(state, backend, message):
    with pytest.raises(StateError, match=message):
        go_on(state, backend)
    streamer = inspect.unwrap(Streamer.__init__)
    with pytest.raises(StateError, match=message):
        streamer(object.__new__(Streamer), MODEL, PARAMS, batch_size=BATCH, state=state, backend=backend)


def test_a_state_of_another_model_is_refused_by_its_fingerprint(states, backend):
    message = "made by another model, or by other parameters of this one: continue with those, or begin anew"
    refused(states[1], backend, message)
    trained_on = jax.tree.map(lambda leaf: leaf + jnp.asarray(1e-3, leaf.dtype), PARAMS)
    with pytest.raises(StateError, match=message):
        go_on(states[0], backend, params=trained_on)


def test_a_state_of_another_model_is_refused_by_its_shapes(states, backend):
    """Without a fingerprint, as earlier versions kept states."""
    unmarked = mutated(states[1], fingerprint=None)
    refused(unmarked, backend, r"must be int32\[\d+\], got int32\[3\]: it is that of another model|another model")


CASES = {
    "a class that is none": (
        "value",
        np.array([3, 10**6]),
        r"value must lie in 0 \.\. \d+, got numbers from 3 to 1000000",
    ),
    "a negative class": ("value", np.array([-1, 3]), "value must lie in 0"),
    "a class that overflows": ("value", np.array([0, 2**40]), r"value must be int32\[2\], got numbers from 0 to"),
    "values of another type": ("value", np.zeros(2, np.float32), r"value must be int32\[2\], got float32\[2\]"),
    "a phase far below": ("phase", -(10**8), r"cache\['phase'\] of layer 0 must lie in 0 \.\. \d+, got -100000000"),
    "a shortened ring": (
        "ring",
        "short",
        r"cache\['ring'\] must be float32\[\d+, 2, \d+\], got float32\[\d+, 2, \d+\]",
    ),
    "a ring that is not finite": ("ring", np.nan, r"cache\['ring'\] holds a value that is not finite"),
    "a memory that is not finite": (
        "memory",
        np.array([0, np.inf], np.float32),
        "memory holds a value that is not fin",
    ),
    "a memory no sound leaves": (
        "memory",
        np.array([0, 1e9], np.float32),
        r"memory must lie in -[\d.]+ \.\. [\d.]+, got",
    ),
    "a position below 0": ("position", np.array([2**31, 0], np.uint32), r"position must lie in 0 \.\. 2\^62 samples"),
    "a position of one word": ("position", np.array([3], np.uint32), r"position must be uint32\[2\], got uint32\[1\]"),
    "keys of one word": ("keys", np.zeros((2, 1), np.uint32), r"keys must be uint32\[2, 2\], got uint32\[2, 1\]"),
    "no streams": ("keys", np.zeros((0, 2), np.uint32), "disagree on the batch size|of no stream"),
    "an origin that is lost": ("origin", None, "the state holds .*; this model's holds .*origin"),
    "no ring": ("ring", DROPPED, "the state holds .*; this model's holds .*ring"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_refused_in_a_sentence(state, backend, case):
    name, value, message = CASES[case]
    path = ("cache", name) if name in ("phase", "ring") else (name,)
    leaf = np.array(get(state, path)) if value is not DROPPED else None
    if isinstance(value, str):
        changed = leaf[:-1]
    elif np.ndim(value) == 0 and isinstance(value, float | int):
        changed = np.full_like(leaf, value)
    else:
        changed = value
    refused(put(state, path, changed), backend, message)


@pytest.mark.parametrize("strange", range(len(STRANGE)))
def test_no_leaf_may_be_anything_but_an_array_of_its_kind(state, strange):
    decoder = open_backend("scan", MODEL, PARAMS).decoder
    for path in leaf_names(state):
        if path != ("fingerprint",) or STRANGE[strange] is not None:
            with pytest.raises(StateError, match="the state"):
                entering(put(state, path, STRANGE[strange]), decoder, MAKER, BATCH)


def test_layers_have_come_to_one_step():
    model = WaveNet(WaveNetConfig(dilations=(2, 4, 2, 3), residual_channels=4, gate_channels=4, skip_channels=4))
    decoder = open_backend("scan", model, draw_params(model)).decoder
    conditioning = jax.jit(encode_conditioning)(decoder)
    state = jax.eval_shape(lambda: init_state(decoder, conditioning))
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)
    for step in range(30):
        entering(put(state, ("cache", "phase"), step % np.array([2, 4, 2, 3])), decoder, MAKER, 1)
    for phase in ([0, 1, 0, 0], [0, 0, 1, 0], [1, 2, 1, 0]):
        with pytest.raises(StateError, match="is not that of one step: its layers have come to different ones"):
            entering(put(state, ("cache", "phase"), np.array(phase)), decoder, MAKER, 1)


def test_what_is_no_state_is_refused(state):
    with pytest.raises(
        StateError, match=r"state must be what generate\(\.\.\., return_state=True\) .* returned, got dict"
    ):
        check_stream(dict(state.__dict__))
    decoder = open_backend("scan", MODEL, PARAMS).decoder
    with pytest.raises(StateError, match="the state is that of 2 streams, not of batch_size=3"):
        entering(state, decoder, MAKER, 3)
    window = type("WindowState", (), {"position": state.position, "keys": state.keys})()
    with pytest.raises(StateError, match="must be a GenerationState, got WindowState: WaveNet continues from what"):
        entering(window, decoder, MAKER, BATCH)


def test_every_sound_way_to_keep_a_state_goes_on_bit_for_bit(state, backend):
    want = go_on(state, backend)
    earlier = mutated(state)
    del earlier.__dict__["fingerprint"]  # as commit 08761ec pickled it
    wide = {"f": np.float64, "i": np.int64, "u": np.uint64}
    kept = {
        "pickled": pickle.loads(pickle.dumps(state)),
        "pickled by an earlier version": pickle.loads(pickle.dumps(earlier)),
        "on the host": jax.tree.map(np.asarray, state),
        "wider types": jax.tree.map(lambda leaf: np.asarray(leaf).astype(wide[np.asarray(leaf).dtype.kind]), state),
        "as bytes of flax": serialization.from_bytes(state, serialization.to_bytes(state)),
    }
    by_name = serialization.to_state_dict(state)
    del by_name["fingerprint"]
    kept["by name, by an earlier version"] = serialization.from_state_dict(state, by_name)
    for how, state_kept in kept.items():
        np.testing.assert_array_equal(go_on(state_kept, backend), want, err_msg=how)
    assert kept["by name, by an earlier version"].fingerprint is None
    with pytest.raises(ValueError, match=r"a generation state holds position, .*; what was kept holds fingerprint"):
        serialization.from_state_dict(state, {"value": by_name["value"]})


def test_what_the_drivers_return_is_still_a_state_of_the_pure_layer(state):
    decoder = open_backend("scan", MODEL, PARAMS).decoder
    conditioning = jax.jit(encode_conditioning)(decoder, GIVEN["local_conditioning"])
    begun = jax.eval_shape(lambda: init_state(decoder, conditioning, batch_size=BATCH))
    assert begun.fingerprint is None

    @jax.jit
    def go(state):
        return run_block(decoder, state, conditioning, block_noise(decoder, state, 16), 16)

    following, samples = go(state)
    np.testing.assert_array_equal(following.fingerprint, state.fingerprint)
    both = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), state)
    mapped, twice = jax.eval_shape(jax.vmap(go), both)
    assert (mapped.fingerprint.shape, twice.waveform.shape) == ((2, 2), (2, *samples.waveform.shape))


def test_the_fingerprint_is_of_the_parameters_and_not_of_how_they_are_kept():
    words = fingerprint(MODEL, PARAMS)
    assert (words.dtype, words.shape) == (np.uint32, (2,))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), PARAMS)
    again = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), half)
    np.testing.assert_array_equal(fingerprint(MODEL, half), fingerprint(MODEL, again))
    host = jax.tree.map(np.asarray, PARAMS)
    moved = [jax.tree.map(lambda leaf, i=i: leaf + np.float32(i * 1e-6), host) for i in range(20)]
    seen = {tuple(fingerprint(MODEL, params)) for params in (*moved, half)}
    assert len(seen) == 21
    assert tuple(words) == tuple(fingerprint(MODEL, moved[0]))
    one = dict(PARAMS)
    name = next(iter(one))
    one["renamed"] = one.pop(name)
    assert not np.array_equal(fingerprint(MODEL, one), words)


def test_a_recurrent_model_is_looked_at_too():
    model, params = wavernn.make("wavernn-16k")
    given = inputs(model, BATCH, 12)
    _, state = generate(model, params, num_samples=9, return_state=True, **given)
    refusals = {
        ("cache", "older"): (np.array([0, 99]), r"cache\['older'\] must lie in 0 \.\. 15, got numbers from 0 to 99"),
        ("cache", "second"): (np.zeros((2, 3), np.float32), r"cache\['second'\] must be float32\[2, \d+\], got"),
        ("cache", "state"): (np.full((2, 6), np.nan, np.float32), r"cache\['state'\].* (not finite|another model)"),
        ("value",): (np.array([-5, 0]), r"value must lie in 0 \.\. 15"),
    }
    for path, (leaf, message) in refusals.items():
        with pytest.raises(StateError, match=message):
            go_on(put(state, path, leaf), "auto", model, params, given)
    assert np.isfinite(go_on(state, "auto", model, params, given)).all()


@pytest.mark.parametrize("case", ["state", "conditioning", "replay", "temperature", "noise"])
def test_no_kernel_indexes_with_a_number_that_was_not_looked_at(case, monkeypatch):
    """Who calls the backend itself meets a refusal, too, before machine code runs."""
    pytest.importorskip("numba")
    name = "speech-16k"
    model, params = make(name)
    engine = open_backend("cpu", model, params, dtype="float32")
    conditioning = jax.jit(encode_conditioning)(engine.decoder, GIVEN["local_conditioning"])
    state = init_state(engine.decoder, conditioning, batch_size=BATCH)
    ran = []
    monkeypatch.setattr(type(engine), "_share_out", lambda self, arrays, job, batch: ran.append(batch))
    engine.block(state, conditioning, 10, 0.0)
    assert ran == [BATCH]
    if case == "state":
        odd = {"value": np.array([0, 10**6]), "history": None, "phase": -(10**8), "ring": None}
        for leaf, value in odd.items():
            path = ("cache", leaf) if leaf != "value" else ("value",)
            was = np.array(get(state, path))
            changed = np.concatenate([was, was]) if value is None and was.size else np.zeros((3, 1), was.dtype)
            changed = np.full_like(was, value) if np.ndim(value) == 0 and value is not None else changed
            changed = value if np.ndim(value) else changed
            with pytest.raises(ValueError, match=rf"{leaf}.* must (lie in|have shape)"):
                engine.block(put(state, path, changed), conditioning, 10, 0.0)
    elif case == "conditioning":
        far = dataclasses.replace(state, position=jnp.asarray([0, 10**6], jnp.uint32))
        with pytest.raises(ValueError, match=r"samples \d+ to \d+ after the conditioning begins need its entries"):
            engine.block(far, conditioning, 10, 0.0)
        gates = {**conditioning.entries, "gates": conditioning.entries["gates"][..., :-1]}
        with pytest.raises(ValueError, match=r"conditioning 'gates' must have shape \(.*\), got"):
            engine.block(state, dataclasses.replace(conditioning, entries=gates), 10, 0.0)
    elif case == "replay":
        for wrong in (np.full((BATCH, 5), 10**6, np.int32), np.full((BATCH, 5), -1, np.int32)):
            with pytest.raises(ValueError, match="the values to replay must lie in 0"):
                engine.replay(state, conditioning, wrong)
    elif case == "temperature":
        rows = dataclasses.replace(conditioning, temperature=jnp.ones((2, BATCH), jnp.float32))
        with pytest.raises(ValueError, match=r"temperature has 2 rows, and sample \d+ reads row \d+"):
            engine.block(state, rows, 10, 0.0)
    else:
        monkeypatch.setattr(
            "wavejax.generation.cpu.backend._block_quantiles", lambda *given: np.zeros((LARGEST_BLOCK, BATCH, 0))
        )
        with pytest.raises(ValueError, match="noise has 0 uniforms for each draw, which takes"):
            engine.block(state, conditioning, 10, 0.0)
    assert ran == [BATCH]


@pytest.mark.parametrize("floor", [-0.1, 0.5, 1.0, 7.0, float("nan"), float("inf"), -float("inf")])
def test_a_floor_that_cannot_be_meant_is_refused_where_it_enters(backend, floor):
    message = r"probability_floor must be at least 0 and below 0\.5, got .*: 0 cuts nothing"
    doors = {
        "sampling": lambda: Sampling(probability_floor=floor),
        "generate": lambda: generate(MODEL, PARAMS, probability_floor=floor, backend=backend, **GIVEN),
        "streamer": lambda: Streamer(MODEL, PARAMS, probability_floor=floor, backend=backend),
    }
    for door in doors.values():
        with pytest.raises(ValueError, match=message):
            door()


@pytest.mark.slow
def test_mutated_states_are_refused_or_run_alike_on_both_backends():
    """10,000 of them, in a process of its own: see `fuzz_states`."""
    pytest.importorskip("numba")
    done = subprocess.run(
        [sys.executable, "-m", "tests.generation.fuzz_states", "10000"], capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    refusals, runs = (int(re.search(rf"'{what}': (\d+)", done.stdout)[1]) for what in ("refused", "ran"))
    assert refusals + runs == 10000
