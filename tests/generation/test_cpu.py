"""The cpu backend against the engine's own functions, the naive reference and itself (contracts 3, 4 and 5)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.generation.naive import naive_generate
from tests.tiny.models import CONFIGS, cheap_jit, inputs, make, parallel_outputs
from wavejax.distributions import CoarseFine
from wavejax.generation import encode_conditioning, generate, init_state, pack, replay, stream, uniforms
from wavejax.generation.backends import LARGEST_BLOCK, ScanBackend, open_backend
from wavejax.generation.cpu.backend import CpuBackend
from wavejax.generation.cpu.compiling import compiled, signature
from wavejax.generation.cpu.packing import exact_weights

pytest.importorskip("numba")


def slow(name):
    return pytest.param(name, marks=pytest.mark.slow)


QUICK = ("nsynth", "nv-wavenet", "r9y9-gaussian", "r9y9-mol+speakers", "speech-16k", "unconditional-mu-law-scalar")
NAMES = [name if name in QUICK else slow(name) for name in sorted(CONFIGS)]
BATCH = 3
WEIGHTS = ("float32", "bfloat16", "int8")
# What packed weights may change in the outputs, as a share of the largest: random parameters are harsher than trained.
OUTPUT_ERROR = {"float32": 2e-5, "bfloat16": 0.03, "int8": 0.06}
# And in the likelihood of what a small model's own outputs describe, in bits per sample.
BITS_ERROR = {"bfloat16": 0.005, "int8": 0.02}


@functools.cache
def prepared(name):
    """Decoder, conditioning of 40 frames or none, and first state; in float32."""
    model, params = make(name)
    given = inputs(model, BATCH, 40)

    def prepare(params, given):
        decoder = pack(model, params)
        conditioning = encode_conditioning(decoder, given.get("local_conditioning"), given.get("global_conditioning"))
        return decoder, conditioning, init_state(decoder, conditioning, batch_size=BATCH, seed=3)

    return cheap_jit(prepare)(params, given)


def cpu(name, weights="float32", threads=2):
    return CpuBackend(prepared(name)[0], make(name)[1], weights=weights, block=LARGEST_BLOCK, threads=threads)


def some_values(name, count):
    rng = np.random.default_rng(1)
    waveform = rng.uniform(-0.5, 0.5, (BATCH, count)).astype(np.float32)
    return np.asarray(jax.jit(make(name)[0].coding.encode)(waveform))


@functools.cache
def replayed(name):
    decoder, conditioning, state = prepared(name)
    return cheap_jit(replay)(decoder, state, conditioning, some_values(name, 70))


@pytest.mark.parametrize("name", NAMES)
def test_replay_equals_the_scan(name):
    _, conditioning, state = prepared(name)
    expected_state, expected = replayed(name)
    for weights in WEIGHTS:
        following, outputs = cpu(name, weights).replay(state, conditioning, some_values(name, 70))
        tolerance = OUTPUT_ERROR[weights] * float(jnp.abs(expected).max())
        assert np.abs(outputs - expected).max() < tolerance, weights
        assert jax.tree.structure(following) == jax.tree.structure(expected_state)
        for (path, leaf), other in zip(
            jax.tree_util.tree_leaves_with_path(following), jax.tree.leaves(expected_state), strict=True
        ):
            assert (leaf.shape, leaf.dtype) == (other.shape, other.dtype), path
            scale = float(np.abs(np.asarray(other, np.float64)).max(initial=1e-3))
            np.testing.assert_allclose(
                np.asarray(leaf, np.float64), np.asarray(other, np.float64), rtol=0, atol=OUTPUT_ERROR[weights] * scale
            )


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", NAMES)
def test_any_chunking_is_bit_identical(name, weights):
    backend = cpu(name, weights)
    _, conditioning, state = prepared(name)
    whole_state, whole = backend.block(state, conditioning, 120, 0.0)
    before = jax.tree.map(np.array, state)
    pieces, following = [], state
    for count in (1, 2, 37, 16, 63, 1):
        following, samples = backend.block(following, conditioning, count, 0.0)
        pieces.append(np.asarray(samples.waveform)[:, :count])
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole.waveform[:, :120])
    for leaf, other in zip(jax.tree.leaves(following), jax.tree.leaves(whole_state), strict=True):
        np.testing.assert_array_equal(leaf, other)
    for leaf, other in zip(jax.tree.leaves(state), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(leaf, other)  # the state that was given has not changed
    assert np.unique(whole.waveform).size > 5


@pytest.mark.parametrize("name", [name for name in NAMES if name in QUICK])
def test_draws_are_those_of_the_reference_history(name):
    """Teacher-forced on the naive reference: a class may differ only where the uniform lies at an edge of its bin."""
    model, params = make(name)
    given = inputs(model, BATCH, 40)
    outputs_of = cheap_jit(lambda values: parallel_outputs(model, params, values, given))
    expected = naive_generate(model, outputs_of, 60, 3, BATCH)
    backend = cpu(name)
    _, conditioning, state = prepared(name)
    drawn = []
    for n in range(60):
        state, samples = backend.block(state, conditioning, 1, 0.0)
        drawn.append(np.asarray(samples.values)[:, 0])
        state = dataclasses.replace(state, value=jnp.asarray(expected[:, n]))
    drawn = np.stack(drawn, axis=1)
    if not model.coding.is_discrete:
        np.testing.assert_allclose(drawn, expected, atol=2e-5)
        return
    differing = np.argwhere(drawn != expected)
    print(f"{len(differing)} of {drawn.size} draws differ")
    if len(differing):
        assert_near_edges(model, np.asarray(outputs_of(expected)), state.keys, differing)
    assert len(np.unique(drawn)) > 5


def assert_near_edges(model, outputs, keys, differing):
    """Each differing draw's uniforms lie within 1e-5 of an edge of the distribution that they invert."""
    noise = np.asarray(uniforms(keys, jnp.zeros(2, jnp.uint32), outputs.shape[1], model.distribution.noise_size))
    for stream_, n in differing:
        logits = outputs[stream_, n]
        if isinstance(model.distribution, CoarseFine):
            logits = logits[: model.distribution.coarse]
        edges = np.cumsum(np.exp(np.float64(logits) - logits.max()))
        assert np.abs(edges / edges[-1] - noise[n, stream_, 0]).min() < 1e-5, (stream_, n)


@pytest.mark.parametrize("name", ["nv-wavenet", slow("r9y9-mol+speakers")])
def test_a_state_moves_between_backends(name):
    model, params = make(name)
    given = inputs(model, BATCH, 40)
    options = {"seed": 3, "batch_size": BATCH, **given}
    whole = generate(model, params, num_samples=120, backend="scan", **options)
    for first, second in (("cpu", "scan"), ("scan", "cpu")):
        head, state = generate(model, params, num_samples=50, backend=first, return_state=True, **options)
        rest = generate(model, params, num_samples=70, backend=second, state=state, **given)
        np.testing.assert_allclose(np.concatenate([head, rest], axis=1), whole, atol=2e-3)
    _, state = generate(model, params, num_samples=50, backend="cpu", dtype="bfloat16", return_state=True, **options)
    rest = generate(model, params, num_samples=70, backend="scan", dtype="bfloat16", state=state, **given)
    assert np.isfinite(rest).all()


def test_bfloat16_is_the_default_where_it_loses_nothing():
    def rounded(params):
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16).astype(jnp.float32), params)

    model, params = make("speech-16k")
    assert exact_weights(model, params) == "float32"
    assert exact_weights(model, rounded(params)) == "bfloat16"
    scaled, others = make("r9y9-mol+speakers")
    assert exact_weights(scaled, rounded(others)) == "float32", "factors of 1/sqrt(2) are folded in"
    given = {"local_conditioning": inputs(model, 1, 20)["local_conditioning"], "backend": "cpu"}
    chosen = generate(model, rounded(params), **given)
    np.testing.assert_array_equal(chosen, generate(model, rounded(params), dtype="bfloat16", **given))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_stream_sounds_alike_alone_and_in_a_batch(weights):
    model, params = make("speech-16k")
    local = inputs(model, 7, 20)["local_conditioning"]
    together = generate(model, params, local_conditioning=local, seed=4, backend="cpu", dtype=weights)
    for index in (0, 3, 6):
        alone = generate(
            model,
            params,
            local_conditioning=local[index : index + 1],
            stream_ids=np.asarray([index]),
            seed=4,
            backend="cpu",
            dtype=weights,
        )
        np.testing.assert_array_equal(alone[0], together[index])


@pytest.mark.parametrize("name", ["speech-16k", slow("nv-wavenet"), slow("r9y9-mol+speakers"), "r9y9-gaussian"])
def test_temperature_and_floor_are_the_scan_s(name):
    model, params = make(name)
    given = inputs(model, BATCH, 20)
    temperature = np.tile(np.linspace(0, 1.5, 20, dtype=np.float32), (BATCH, 1))
    options = {"seed": 2, "temperature": temperature, "probability_floor": 0.02, "num_samples": 75, **given}
    scan, ours = (generate(model, params, backend=backend, **options) for backend in ("scan", "cpu"))
    np.testing.assert_allclose(ours, scan, atol=2e-3)
    blocks = stream(model, params, block_size=13, backend="cpu", **options)
    np.testing.assert_array_equal(np.concatenate(list(blocks), axis=1), ours)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_one_compilation_serves_every_call(weights):
    """What the command line keeps is compiled for one signature, before the arguments are there."""
    for name in QUICK:
        _, conditioning, state = prepared(name)
        cpu(name, weights).replay(state, conditioning, some_values(name, 3))
        cpu(name, weights).block(state, conditioning, 3, 0.0)
    run = compiled(weights)["run"]
    assert run.signatures == [signature(pytest.importorskip("numba"), weights)]


def test_gates_keep_their_error_bound_and_show_what_is_not_a_number():
    gated = compiled("float32")["gated"]
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(0, 3, 200_000), rng.normal(0, 1e-3, 1000), np.linspace(-150, 150, 9001)])
    tanh, sigmoid = z.astype(np.float32), rng.permutation(z).astype(np.float32)
    h = np.zeros_like(tanh)
    gated(tanh, sigmoid, h)
    exact = np.tanh(np.float64(tanh)) / (1 + np.exp(-np.float64(sigmoid)))
    assert np.abs(h - exact).max() < 4e-7
    odd = np.asarray([np.nan, 1, np.inf, -np.inf, 1, 1], np.float32)
    even = np.asarray([1, np.nan, 1, 1, np.inf, -np.inf], np.float32)
    gated(odd, even, h[:6])
    assert np.isnan(h[:2]).all()
    np.testing.assert_allclose(h[2:6], [0.7310586, -0.7310586, np.tanh(1), 0], atol=1e-6)


def test_exp_keeps_its_error_bound():
    exp = compiled("float32")["exp"]
    x = np.linspace(-87, 88, 20_001).astype(np.float32)
    exact = np.exp(np.float64(x))
    assert max(abs(exp(one) / true - 1) for one, true in zip(x, exact, strict=True)) < 3e-7


@pytest.mark.parametrize("weights", WEIGHTS)
def test_what_is_not_a_number_reaches_the_output(weights):
    _, conditioning, state = prepared("nv-wavenet")
    ring = np.array(state.cache["ring"])
    ring[0, 1, 0] = np.nan
    state = dataclasses.replace(state, cache={**state.cache, "ring": jnp.asarray(ring)})
    _, outputs = cpu("nv-wavenet", weights).replay(state, conditioning, some_values("nv-wavenet", 1))
    assert np.isnan(outputs[1]).all()
    assert np.isfinite(outputs[[0, 2]]).all()


def test_bfloat16_pairs_round_to_the_nearest():
    from wavejax.generation.cpu.packing import _bfloat16_pairs

    rng = np.random.default_rng(5)
    low, high = (rng.normal(0, scale, 10_000).astype(np.float32) for scale in (1.0, 0.01))
    words = _bfloat16_pairs(low, high)
    for weights, read in ((low, words << np.uint32(16)), (high, words)):
        assert np.all(np.abs(read.view(np.float32) - weights) <= np.abs(weights) * 2.0**-8)


@pytest.mark.parametrize("weights", [slow("bfloat16"), "int8"])
def test_packed_weights_keep_the_likelihood(weights):
    """The rise in bits per sample is the mean divergence of the packed model's distribution from the exact one's."""
    model, params = make("nv-wavenet-20")
    given = inputs(model, BATCH, 40)
    values = model.coding.encode(generate(model, params, num_samples=150, seed=9, batch_size=BATCH, **given))
    _, conditioning, state = prepared("nv-wavenet-20")
    exact, packed = (cpu("nv-wavenet-20", kind).replay(state, conditioning, values)[1] for kind in ("float32", weights))
    p, q = jax.nn.log_softmax(exact), jax.nn.log_softmax(packed)
    rise = float(jnp.mean(jnp.sum(jnp.exp(p) * (p - q), axis=-1))) / np.log(2)
    assert 0 < rise < BITS_ERROR[weights]


def test_auto_takes_the_cpu_backend_for_a_wavenet():
    model, params = make("speech-16k")
    assert open_backend("auto", model, params).name == "cpu"
    assert open_backend("auto", model, params, dtype=jnp.bfloat16).name == "cpu"
    assert open_backend("auto", model, params, dtype=jnp.float16).name == "scan"
    assert isinstance(open_backend("scan", model, params), ScanBackend)


def test_what_a_backend_cannot_do_is_said():
    model, params = make("speech-16k")
    with pytest.raises(ValueError, match=r"backend 'scan' .*got int8: int8 weights need backend='cpu'"):
        open_backend("scan", model, params, dtype="int8")
    with pytest.raises(ValueError, match="packs weights as float32, bfloat16 or int8, got float16"):
        open_backend("cpu", model, params, dtype=jnp.float16)
    with pytest.raises(ValueError, match="knows the loop of a WaveNet, got object: use backend='scan'"):
        open_backend("cpu", object(), params)
