"""WaveRNN: sizes against published figures, step against parallel form, the engine's contracts, and its options."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.generation.naive import naive_generate
from tests.models import golden
from tests.tiny.models import cheap_jit, parallel_outputs
from tests.tiny.wavernn import CONFIGS, draw_params, inputs, make
from wavejax.audio.companding import SampleCoding
from wavejax.distributions import Categorical, LogisticMixture
from wavejax.generation import Streamer, encode_conditioning, generate, init_state, pack, replay, stream
from wavejax.models.wavernn import PairConfig, TwoLayerConfig, WaveRNN, WaveRNNConfig
from wavejax.models.wavernn_presets import PRESETS, get_preset
from wavejax.nn import UpsamplerConfig, initial_statistics, overlaid
from wavejax.types import Steppable

BATCH = 2
QUICK = ("wavernn-16k", "wavernn-16k+speakers", "wavernn-16k-lstm", "fatchord-wavernn-mol")
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(CONFIGS)]


def trainable(name: str, prefix: str = "") -> int:
    """Parameters of a full-size preset below a path, running statistics left out."""
    return sum(
        math.prod(leaf["shape"])
        for path, leaf in golden.tree(name).items()
        if path.startswith(prefix) and path.rpartition("/")[2] not in ("mean", "variance")
    )


@pytest.mark.parametrize(
    ("name", "outputs", "millions"),
    [
        ("fatchord-wavernn-9bit", 512, 4.481),
        ("fatchord-wavernn-mol", 30, 4.234),
        ("torchaudio-wavernn-8bit", 256, 4.350),
    ],
)
def test_the_published_networks_have_their_published_parameters(name, outputs, millions):
    """Tensor by tensor as the PyTorch checkpoints list them; fatchord prints 4.481 M for 9 bits, 4.23 M for MOL."""
    resnet = 128 * 80 * 5 + 256 + 10 * (2 * 128 * 128 + 2 * 256) + 128 * 128 + 128
    recurrent = 1536 * 512 + 1536 * 512 + 2 * 1536 + 1536 * 544 + 1536 * 512 + 2 * 1536
    dense = 512 * 113 + 512 + 2 * (512 * 544 + 512) + outputs * 512 + outputs
    assert trainable(name, "network/resnet") == resnet
    assert trainable(name, "network/stretch") == 11 + 11 + 23
    assert trainable(name) == resnet + 11 + 11 + 23 + recurrent + dense
    assert trainable(name) / 1e6 == pytest.approx(millions, abs=0.0005)
    assert PRESETS[name].upsampler.hop_length == 275


def test_ours_takes_little_arithmetic():
    assert PRESETS["wavernn-16k"].macs_per_sample == (3 * 256**2 + 2 * 256 * 128) // 2 + 128 * 128
    for name in ("wavernn-16k", "wavernn-16k-lstm"):
        assert 0.1e6 < PRESETS[name].macs_per_sample < 0.2e6
    published = 81 * 512 + 4 * 512 * 1536 + 2 * 512 * 512 + 512 * 30
    assert PRESETS["fatchord-wavernn-mol"].macs_per_sample == published


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_it_keeps_the_engines_protocol(name):
    model = CONFIGS[name].build()
    assert isinstance(model, Steppable)
    assert model == WaveRNN(CONFIGS[name])


# Both forms from any place on, by the model's own methods.

PLACES = [
    *((1, 1), (5, 1), (7, 2)),
    *(pytest.param(*place, marks=pytest.mark.slow) for place in ((1, 0), (2, 3), (3, 0), (11, 5), (13, 4))),
]


@functools.cache
def given(name: str, length: int, first: int) -> tuple:
    """Values [B, N], frames for predictions from `first` on, and speakers."""
    model, _ = make(name)
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, (BATCH, length)).astype(np.float32)
    intervals = -(-(first + length) // model.hop_length)
    conditioning = inputs(model, BATCH, model.lookback + intervals + model.lookahead)
    speaker = conditioning.get("global_conditioning")
    values = jax.jit(model.coding.encode)(waveform)
    return values, jnp.asarray(conditioning["local_conditioning"]), None if speaker is None else jnp.asarray(speaker)


def step_form(model: WaveRNN, params: dict, values: jax.Array, frames: jax.Array, speaker, first: int) -> jax.Array:
    """Outputs of `step`, called sample by sample from the state before any."""
    variables, hop = {"params": params}, model.hop_length
    window = model.lookback + 1 + model.lookahead
    entries = [
        model.apply(variables, frames[:, i : i + window], speaker, method="encode_frame")
        for i in range(frames.shape[1] - window + 1)
    ]
    entries = jax.tree.map(lambda *leaves: jnp.stack(leaves), *entries)

    def body(cache, inputs):
        value, place = inputs
        entry = jax.tree.map(lambda leaf: leaf[place // hop], entries)
        condition = model.apply(variables, entry, place % hop, method="at_sample")
        return model.apply(variables, cache, value, condition, method="step")

    cache = model.apply(variables, values.shape[0], method="init_cache")
    places = first + jnp.arange(values.shape[1], dtype=jnp.int32)
    return jnp.moveaxis(lax.scan(body, cache, (values.T, places))[1], 0, 1)


def both_forms(model: WaveRNN, params: dict, values: jax.Array, frames: jax.Array, speaker, first: int) -> tuple:
    """The step form's outputs and the parallel form's."""

    @cheap_jit
    def run(params):
        at_once = model.apply({"params": params}, values, frames, speaker, first=first)
        return step_form(model, params, values, frames, speaker, first), at_once

    return run(params)


@pytest.mark.parametrize(
    "name", ["wavernn-16k+speakers", "wavernn-16k-lstm", "wavernn-16k+repeat", "fatchord-wavernn-mol"]
)
@pytest.mark.parametrize(("length", "first"), PLACES)
def test_step_equals_parallel_at_odd_lengths_and_places(name, length, first):
    """1, primes, a hop of 4 less and more one; even and odd places."""
    model, params = make(name)
    values, frames, speaker = given(name, length, first)
    stepped, at_once = both_forms(model, params, values, frames, speaker, first)
    assert at_once.shape == (BATCH, length, model.distribution.output_size)
    np.testing.assert_allclose(stepped, at_once, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", [*QUICK[1:], pytest.param("fatchord-wavernn-9bit", marks=pytest.mark.slow)])
@pytest.mark.parametrize("first", [0, 3])
def test_gradients_through_step_equal_those_through_parallel(name, first):
    model, params = make(name)
    values, frames, speaker = given(name, 7, first)
    mix = np.random.default_rng(3).normal(size=(BATCH, 7, model.distribution.output_size)).astype(np.float32)

    def parallel(params):
        return model.apply({"params": params}, values, frames, speaker, first=first)

    def stepped(params):
        return step_form(model, params, values, frames, speaker, first)

    by_step, at_once = (
        cheap_jit(jax.grad(lambda p, form=form: jnp.mean(form(p) * mix)))(params) for form in (stepped, parallel)
    )
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(at_once))
    assert largest > 1e-3
    for (path, leaf), other in zip(jax.tree_util.tree_leaves_with_path(at_once), jax.tree.leaves(by_step), strict=True):
        np.testing.assert_allclose(other, leaf, rtol=1e-3, atol=1e-4 * largest, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize("name", ["wavernn-16k", "fatchord-wavernn-9bit"])
@pytest.mark.parametrize("first", [2, 5])
def test_scored_outputs_are_the_last_ones(name, first):
    model, params = make(name)
    values, frames, speaker = given(name, 9, first)
    counts = (9, 1, 2, 5, 8)
    whole, *others = cheap_jit(
        lambda params: [
            model.apply({"params": params}, values, frames, speaker, first=first, scored=scored) for scored in counts
        ]
    )(params)
    for scored, some in zip(counts[1:], others, strict=True):
        np.testing.assert_allclose(some, whole[:, 9 - scored :], atol=1e-5)


@pytest.mark.parametrize("name", ["wavernn-16k", "fatchord-wavernn-9bit"])
def test_an_output_sees_every_earlier_value_and_no_later_one(name):
    model, params = make(name)
    values, frames, speaker = given(name, 9, 0)
    apply = cheap_jit(lambda values: model.apply({"params": params}, values, frames, speaker))
    before = apply(values)
    for n in range(9):
        moved = np.asarray(apply(values.at[:, n].set((values[:, n] + 7) % 16)) != before).any(axis=(0, 2))
        np.testing.assert_array_equal(moved, np.arange(9) >= n)


def test_a_sample_sees_the_declared_frames_and_no_more():
    for name in ("wavernn-16k", "fatchord-wavernn-mol"):
        model, params = make(name)
        hop, window = model.hop_length, model.lookback + 1 + model.lookahead
        frames = jnp.asarray(inputs(model, 1, window)["local_conditioning"])

        def entry(window, model=model, params=params, hop=hop):
            encoded = model.apply({"params": params}, window, None, method="encode_frame")
            rows = [model.apply({"params": params}, encoded, jnp.int32(row), method="at_sample") for row in range(hop)]
            return sum(jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in jax.tree.leaves(rows))

        seen = np.abs(np.asarray(cheap_jit(jax.grad(entry))(frames)))[0].max(axis=-1) > 0
        assert seen.all()


# The engine's contracts.


@functools.cache
def recording(name: str) -> tuple:
    """Values [B, T] of noise, and conditioning."""
    model, _ = make(name)
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, (BATCH, 23)).astype(np.float32)
    return np.asarray(jax.jit(model.coding.encode)(waveform)), inputs(model, BATCH, -(-23 // model.hop_length))


@functools.cache
def whole_recordings(name: str):
    model, conditioning = make(name)[0], recording(name)[1]
    return cheap_jit(lambda params, values: parallel_outputs(model, params, values, conditioning))


@pytest.mark.parametrize("name", NAMES)
def test_the_engines_steps_equal_the_parallel_form(name):
    model, params = make(name)
    values, conditioning = recording(name)

    @cheap_jit
    def stepped(params, values):
        decoder = pack(model, params)
        local, speaker = conditioning["local_conditioning"], conditioning.get("global_conditioning")
        entries = encode_conditioning(decoder, local, speaker)
        return replay(decoder, init_state(decoder, entries, batch_size=BATCH), entries, values)[1]

    at_once = whole_recordings(name)(params, values)
    assert float(jnp.std(at_once)) > 0.1
    np.testing.assert_allclose(stepped(params, values), at_once, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_generate_equals_the_naive_reference(name):
    model, params = make(name)
    _, conditioning = recording(name)
    outputs_of = functools.partial(whole_recordings(name), params)
    values = naive_generate(model, outputs_of, 23, 7, BATCH)
    waveform = generate(model, params, num_samples=23, seed=7, backend="scan", **conditioning)
    # A draw of a class may differ where the uniform lies on an edge up to rounding; these short runs have none.
    tolerance = 1e-5 if model.coding.is_discrete else 2e-3
    np.testing.assert_allclose(waveform, np.asarray(model.coding.decode(values)), atol=tolerance)
    assert len(np.unique(values)) > 5


@pytest.mark.parametrize("name", NAMES)
def test_generate_stream_push_and_resume_agree_bit_for_bit(name):
    model, params = make(name)
    conditioning = inputs(model, BATCH, 29)
    options = {"seed": 3, "backend": "scan"}
    whole = generate(model, params, **options, **conditioning)
    assert whole.shape == (BATCH, 29 * model.hop_length)
    blocks = list(stream(model, params, block_size=37, **options, **conditioning))
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    first, state = generate(model, params, num_samples=41, return_state=True, **options, **conditioning)
    second = generate(model, params, state=state, backend="scan", **conditioning)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)
    local = conditioning.pop("local_conditioning")
    streamer = Streamer(model, params, batch_size=BATCH, **options, **conditioning)
    pieces = [streamer.push(local[:, start : start + 5]) for start in range(0, 29, 5)]
    np.testing.assert_array_equal(np.concatenate([*pieces, streamer.flush()], axis=1), whole)


@pytest.mark.parametrize("name", ["wavernn-16k", "fatchord-wavernn-mol"])
def test_a_stream_is_the_same_in_any_batch(name):
    model, params = make(name)
    local = inputs(model, BATCH, 10)["local_conditioning"]
    together = generate(model, params, seed=9, local_conditioning=local)
    for row in range(BATCH):
        alone = generate(model, params, seed=9, stream_ids=np.array([row]), local_conditioning=local[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6 if model.coding.is_discrete else 2e-3)
    assert not np.array_equal(together[0], together[1])


@pytest.mark.parametrize("name", ["wavernn-16k", "wavernn-16k-lstm"])
def test_a_prompt_of_odd_length_is_heard_whole(name):
    model, params = make(name)
    waveform = np.random.default_rng(4).uniform(-0.4, 0.4, (BATCH, 19)).astype(np.float32)
    decoder = pack(model, params)
    conditioning = encode_conditioning(decoder, inputs(model, BATCH, 8)["local_conditioning"])
    start = init_state(decoder, conditioning, batch_size=BATCH)
    stepped, _ = replay(decoder, start, conditioning, model.coding.encode(waveform))
    warmed = init_state(decoder, conditioning, batch_size=BATCH, prompt=waveform)
    for one, other in zip(jax.tree.leaves(warmed), jax.tree.leaves(stepped), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_published_networks_begin_with_a_state_of_zeros():
    for name in ("fatchord-wavernn-9bit", "fatchord-wavernn-mol", "torchaudio-wavernn-8bit"):
        model, params = make(name)
        decoder = pack(model, params)
        conditioning = encode_conditioning(decoder, inputs(model, 1, 3)["local_conditioning"])
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(init_state(decoder, conditioning).cache))


def test_folded_tables_are_those_of_the_parameters():
    model, params = make("wavernn-16k")
    decoder = pack(model, params)
    assert {name: table.shape for name, table in decoder.folded.items()} == {
        "older": (16, 18),
        "newer": (16, 18),
        "newest": (16, 5),
    }
    network = params["network"]
    kernel = network["recurrent"]["input_kernel"]
    np.testing.assert_allclose(decoder.folded["newer"], network["embedding"] @ kernel[3:6], atol=1e-5)
    assert pack(*make("fatchord-wavernn-mol")).folded == {}


# The published network, written as its PyTorch code reads: concatenations, and convolutions over padded windows.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def published(p: dict, sizes: TwoLayerConfig, scalars: np.ndarray, mel: np.ndarray) -> np.ndarray:
    """float64 outputs [T, outputs] of one example; `mel` has `context` frames more on both sides."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), p)
    hop, quarter = math.prod(sizes.scales), sizes.auxiliary_channels // 4

    def norm(x, name):
        q = p["resnet"][name]
        return (x - q["mean"]) / np.sqrt(q["variance"] + 1e-5) * q["scale"] + q["bias"]

    taps = 2 * sizes.context + 1
    windows = np.stack([mel[i : i + taps].reshape(-1) for i in range(len(mel) - taps + 1)])
    x = np.maximum(norm(windows @ p["resnet"]["input_kernel"], "input_norm"), 0)
    for block in range(sizes.resnet_blocks):
        hidden = norm(x @ p["resnet"][f"block_{block}_in_kernel"], f"block_{block}_in_norm")
        hidden = np.maximum(hidden, 0) @ p["resnet"][f"block_{block}_out_kernel"]
        x = x + norm(hidden, f"block_{block}_out_norm")
    aux = np.repeat(x @ p["resnet"]["output_kernel"] + p["resnet"]["output_bias"], hop, axis=0)
    for stage, scale in enumerate(sizes.scales):
        mel, kernel = np.repeat(mel, scale, axis=0), p["stretch"][f"stage_{stage}_kernel"]
        mel = np.stack([np.correlate(np.pad(column, scale), kernel, "valid") for column in mel.T], axis=1)
    mel = mel[sizes.context * hop : -sizes.context * hop]
    a1, a2, a3, a4 = (aux[:, i * quarter : (i + 1) * quarter] for i in range(4))

    def gru(x, q):
        h, size = np.zeros(sizes.hidden_channels), sizes.hidden_channels
        outputs = []
        for row in x:
            given = row @ q["input_kernel"] + q["input_bias"]
            recurrent = h @ q["recurrent_kernel"] + q["recurrent_bias"]
            r, z = sigmoid((given + recurrent)[:size]), sigmoid((given + recurrent)[size : 2 * size])
            h = (1 - z) * np.tanh(given[2 * size :] + r * recurrent[2 * size :]) + z * h
            outputs.append(h)
        return np.stack(outputs)

    def dense(x, name):
        return x @ p[f"{name}_kernel"] + p[f"{name}_bias"]

    length = len(scalars)
    x = dense(np.concatenate([scalars[:, None], mel[:length], a1[:length]], axis=1), "input")
    x = x + gru(x, p["rnn_1"])
    x = x + gru(np.concatenate([x, a2[:length]], axis=1), p["rnn_2"])
    x = np.maximum(dense(np.concatenate([x, a3[:length]], axis=1), "fc_1"), 0)
    x = np.maximum(dense(np.concatenate([x, a4[:length]], axis=1), "fc_2"), 0)
    return dense(x, "fc_3")


@pytest.mark.parametrize("name", ["fatchord-wavernn-9bit", "fatchord-wavernn-mol"])
def test_the_published_network_is_what_its_code_says(name):
    model, params = make(name)
    values, frames, _ = given(name, 11, 0)
    outputs = model.apply({"params": params}, values, frames)
    scalars = np.asarray(model.coding.to_scalar(values), np.float64)
    for row in range(BATCH):
        expected = published(params["network"], model.config.network, scalars[row], np.asarray(frames[row], np.float64))
        np.testing.assert_allclose(outputs[row], expected, rtol=1e-4, atol=1e-4)


# Training.


def test_training_returns_running_statistics_that_use_then_takes():
    model, params = make("fatchord-wavernn-9bit")
    values, frames, _ = given("fatchord-wavernn-9bit", 9, 0)
    keys = jax.random.split(jax.random.key(0), BATCH)

    @cheap_jit
    def train(params, statistics):
        variables = {"params": params, "statistics": statistics}
        return model.apply(variables, values, frames, keys=keys, mutable="statistics")

    statistics = initial_statistics(params)
    outputs, changed = train(params, statistics)
    assert jax.tree.structure(changed["statistics"]) == jax.tree.structure(statistics)
    in_use = model.apply({"params": params}, values, frames)
    assert float(jnp.abs(outputs - in_use).max()) > 0.01
    for _ in range(150):  # 0.9^150: nothing of the first ones is left
        _, changed = train(params, changed["statistics"])
    rows = BATCH * (frames.shape[1] - 2 * model.config.network.context)
    # Running variances have the divisor rows - 1, the batch's own had rows.
    biased = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf * (rows - 1) / rows if path[-1].key == "variance" else leaf, changed["statistics"]
    )
    later = model.apply({"params": overlaid(params, biased)}, values, frames)
    np.testing.assert_allclose(later, outputs, atol=1e-3)
    assert initial_statistics(make("wavernn-16k")[1]) == {}


def test_masks_and_noise_belong_to_the_example_and_to_training():
    base = CONFIGS["wavernn-16k"]
    params = make("wavernn-16k")[1]
    values, frames, _ = given("wavernn-16k", 11, 1)
    keys = jax.random.split(jax.random.key(1), BATCH)
    quiet = dataclasses.replace(base.network.frame_network, dropout=0.0)
    masked = dataclasses.replace(base.network.frame_network, dropout=0.5)

    def outputs(rows, keys, noise, frame_network):
        network = dataclasses.replace(base.network, frame_network=frame_network)
        model = dataclasses.replace(base, input_noise=noise, network=network).build()
        apply = cheap_jit(
            lambda values, frames, keys: model.apply({"params": params}, values, frames, first=1, keys=keys)
        )
        return apply(values[rows], frames[rows], keys)

    everyone = slice(None)
    expected = outputs(everyone, None, 0.0, quiet)
    np.testing.assert_array_equal(outputs(everyone, keys, 0.0, quiet), expected)
    for noise, network in ((0.5, quiet), (0.0, masked)):
        np.testing.assert_array_equal(outputs(everyone, None, noise, network), expected)
        together = outputs(everyone, keys, noise, network)
        assert float(jnp.abs(together - expected).max()) > 0.01
        for row in (slice(0, 1), slice(1, 2)):
            np.testing.assert_allclose(outputs(row, keys[row], noise, network), together[row], atol=1e-5)


@pytest.mark.parametrize("name", ["wavernn-16k", "wavernn-16k-lstm", "fatchord-wavernn-mol"])
def test_bfloat16_is_close_and_leaves_the_output_in_float32(name):
    model, params = make(name)
    values, frames, speaker = given(name, 9, 0)
    _, exact = both_forms(model, params, values, frames, speaker, 0)
    stepped, outputs = both_forms(model.config.build(dtype=jnp.bfloat16), params, values, frames, speaker, 0)
    assert outputs.dtype == stepped.dtype == jnp.float32
    for found in (outputs, stepped):
        assert 1e-4 < float(jnp.sqrt(jnp.mean((found - exact) ** 2)) / jnp.std(exact)) < 0.05


def test_classes_begin_as_smooth_functions_of_their_amplitude():
    coding, distribution = SampleCoding(num_classes=256), Categorical(num_classes=256)
    model = dataclasses.replace(CONFIGS["wavernn-16k"], coding=coding, distribution=distribution).build()
    values, frames, _ = given("wavernn-16k", 1, 0)
    embedding = np.asarray(cheap_jit(model.init)(jax.random.key(0), values, frames)["params"]["network"]["embedding"])
    assert embedding.shape == (256, 3)
    assert 0.8 < embedding.std() < 1.2
    assert np.abs(np.diff(embedding, axis=0)).max() < 0.4  # independent rows would lie 2 or 3 apart


# Errors.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distribution": LogisticMixture()}, "coding 'mu_law' does not fit LogisticMixture"),
        ({"distribution": Categorical(num_classes=256)}, "the distribution has 256 classes but the coding 1024"),
        (
            {"coding": SampleCoding(kind="continuous"), "distribution": LogisticMixture()},
            "PairConfig embeds classes, but coding 'continuous' has none: use 'mu_law' or 'linear', or TwoLayerConfig",
        ),
        ({"receptive_field": 0}, "receptive_field must be at least 1 sample, got 0"),
        ({"num_speakers": 2}, "got num_speakers 2 and global_channels 0: give both, or neither"),
        (
            {"network": TwoLayerConfig(), "num_speakers": 2, "global_channels": 4},
            "TwoLayerConfig knows no speakers, got num_speakers 2: use PairConfig",
        ),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        WaveRNNConfig(**changes)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (PairConfig, {"head_channels": 0}, "head_channels must be at least 1, got 0"),
        (
            PairConfig,
            {"upsampler": UpsamplerConfig(kind="transposed", kernel_size=800)},
            "a pair's conditioning is interpolated, got the upsampler kind 'transposed': use 'linear' or 'repeat'",
        ),
        (
            PairConfig,
            {"upsampler": UpsamplerConfig(kind="linear", hop_length=275, frame_centre=0)},
            "pairs of samples need an even hop_length and frame_centre, got 275 and 0",
        ),
        (TwoLayerConfig, {"auxiliary_channels": 6}, "shared by four layers, got 6: use 4 n"),
        (TwoLayerConfig, {"scales": ()}, r"scales must be a non-empty tuple of integers >= 1, got \(\)"),
        (TwoLayerConfig, {"context": -1}, "context and resnet_blocks must be at least 0, got -1 and 10"),
    ],
)
def test_impossible_networks_are_refused(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        kind(**changes)


@pytest.mark.parametrize(
    ("name", "frames", "speaker", "message"),
    [
        ("wavernn-16k", None, None, r"needs conditioning frames \[B, F, 3\], got none"),
        ("wavernn-16k", (1, 9, 4), None, "conditioning frames need 3 channels, got 4"),
        (
            "wavernn-16k",
            (1, 5, 3),
            None,
            r"12 samples from 0 on need 9 frames \(of which lookback 3 and lookahead 3\), got 5",
        ),
        ("wavernn-16k", (1, 9, 3), (1,), r"is none: it knows no speakers; got an array of shape \(1,\)"),
        ("wavernn-16k+speakers", (1, 9, 3), None, r"is speaker ids \[B\] below 3; got nothing"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(name, frames, speaker, message):
    model, params = make(name)
    frames = None if frames is None else jnp.zeros(frames, jnp.float32)
    speaker = None if speaker is None else jnp.zeros(speaker, jnp.int32)
    with pytest.raises(ValueError, match=message):
        model.apply({"params": params}, jnp.zeros((1, 12), jnp.int32), frames, speaker)


def test_an_unknown_preset_lists_those_that_exist():
    with pytest.raises(
        KeyError, match=r"no WaveRNN preset is called 'wavernn'; there are fatchord-wavernn-9bit, .*16k"
    ):
        get_preset("wavernn")
    assert get_preset("wavernn-16k") is PRESETS["wavernn-16k"]
    assert draw_params(make("wavernn-16k")[0]).keys() == {"network"}
