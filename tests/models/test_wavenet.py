"""WaveNet: sizes against published figures, frozen parameter names, what an output depends on, and its options."""

import dataclasses
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.models import golden
from tests.tiny.models import CONFIGS, cheap_jit, draw_params, inputs, make
from wavejax.audio.companding import SampleCoding
from wavejax.distributions import Categorical, CoarseFine, LogisticMixture
from wavejax.models.wavenet import WaveNet, WaveNetConfig
from wavejax.models.wavenet_presets import PRESETS, get_preset, powers
from wavejax.nn import FrameNetworkConfig
from wavejax.nn.parameters import count_parameters

QUICK = ("ibab", "linear-centre", "nsynth", "nv-wavenet", "r9y9-gaussian", "r9y9-mol-2018", "speech-16k+speakers")


def quick_among(names: Iterable[str]) -> list:
    """All names, those that add no option to the quick ones marked slow."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(names)]


def counts(name: str) -> tuple[int, int]:
    """Parameters of a full-size preset without the lengths of weight normalisation, and those lengths."""
    sizes = {path: math.prod(leaf["shape"]) for path, leaf in golden.tree(name).items()}
    lengths = sum(size for path, size in sizes.items() if path.endswith("_g"))
    return sum(sizes.values()) - lengths, lengths


def part(name: str, *prefixes: str) -> int:
    tree = golden.tree(name)
    return sum(math.prod(leaf["shape"]) for path, leaf in tree.items() if path.startswith(prefixes))


def test_parameter_counts_of_the_published_presets():
    # HiFi-GAN's table gives 24.73 M for r9y9's 2018 model with weight_g; without: 24.69 M.
    assert counts("r9y9-mol-2018") == (24_693_586, 43_810)
    # Figures of the two-number kind leave out the 5-tap convolution over the mel (80 x 80 x 5 weights).
    assert part("r9y9-mol", "frame_network/") == 32_000
    assert (counts("r9y9-mol")[0] - 32_000) / 1e6 == pytest.approx(3.67, abs=0.005)
    assert (counts("r9y9-mulaw256")[0] - 32_000) / 1e6 == pytest.approx(4.64, abs=0.005)
    assert counts("ibab") == (1_761_728, 0)
    # Only the output layer tells it from the mixture: 2 channels in place of 30, each 128 weights and a bias.
    assert counts("r9y9-mol")[0] - counts("r9y9-gaussian")[0] == 28 * 129


@pytest.mark.parametrize(("name", "layers"), [("nv-wavenet", 16), ("nv-wavenet-20", 20)])
def test_nv_wavenet_has_the_tensors_of_its_pytorch_model(name, layers):
    residual, skip, classes = 64, 256, 256
    embed = classes * residual
    dilate = layers * (2 * residual * residual * 2 + 2 * residual)
    res = (layers - 1) * (residual * residual + residual)
    skips = layers * (skip * residual + skip)
    end = classes * skip + classes * classes
    assert counts(name)[0] - part(name, "upsampler/", "stack/local_") == embed + dilate + res + skips + end
    assert part(name, "stack/local_") == layers * (80 + 1) * 2 * residual
    assert part(name, "upsampler/") == 80 * 80 * 800 + 80


def test_nv_wavenet_at_its_paper_size():
    config = dataclasses.replace(PRESETS["nv-wavenet-20"], skip_channels=128, frame_network=None, upsampler=None)
    config = dataclasses.replace(config, local_bias=False)
    model = WaveNet(config)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 2), jnp.int32))["params"])
    # 0.695 M is computed with a residual map in the last layer too, which reaches nothing: 64 x 64 + 64 less here.
    assert (count_parameters(shapes) + 64 * 64 + 64) / 1e6 == pytest.approx(0.695, abs=0.001)


def test_wavenet_30_has_the_parameters_of_figure_4():
    layers, r, s, mel = 30, 128, 256, 80
    layer = (2 * r + 1) * 2 * r + mel * 2 * r + (r + 1) * r + (r + 1) * s
    assert counts("wavenet-30") == (256 * r + r + layers * layer + (s + 1) * 256 + (256 + 1) * 256, 0)


def test_nsynth_has_the_parameters_of_its_decoder():
    layers, width, skip, encoding = 30, 512, 256, 16
    layer = (3 * width + 1) * 2 * width + (encoding + 1) * 2 * width + (width + 1) * width + (width + 1) * skip
    ends = (3 + 1) * width + (width + 1) * skip + (skip + 1) * 256 + encoding * 256 + (256 + 1) * 256
    assert counts("nsynth") == (layers * layer + ends, 0)


@pytest.mark.parametrize(
    ("name", "samples"),
    # Samples that one prediction sees; the field's own counts (24 layers of 3 taps, ibab's first layer of 32 taps).
    [("r9y9-mol", 505), ("r9y9-mol-2018", 505), ("r9y9-mulaw256", 6139), ("ibab", 5147), ("nv-wavenet-20", 2047)],
)
def test_receptive_fields_of_the_presets(name, samples):
    assert PRESETS[name].receptive_field == samples


@pytest.mark.parametrize("name", sorted(golden.PRESETS))
def test_parameter_names_are_frozen(name):
    frozen, now = golden.read(name), golden.tree(name)
    changed = {path: (frozen.get(path), now.get(path)) for path in frozen.keys() | now.keys()}
    changed = {path: pair for path, pair in changed.items() if pair[0] != pair[1]}
    assert not changed, f"(frozen, now) of {name}; if this is meant: python -m tests.models.golden {name}"


def test_every_golden_file_has_its_preset():
    assert {path.stem for path in golden.FOLDER.glob("*.json")} == set(golden.PRESETS)


def frames_for(model: WaveNet, batch: int, length: int, seed: int = 0) -> tuple:
    """Random frames for `length` predicted samples from interval 0 on, and speakers."""
    if model.hop_length is None:
        count = 0
    else:
        count = model.lookback + -(-length // model.hop_length) + model.lookahead
    given = {name: jnp.asarray(value) for name, value in inputs(model, batch, count, seed).items()}
    return given.get("local_conditioning"), given.get("global_conditioning")


def input_reach(model: WaveNet, params: dict, length: int) -> np.ndarray:
    """[n, j]: does the input layer's row n change with value j? Elementwise arithmetic, so any difference is real."""
    draw = np.random.default_rng(6)
    if model.coding.is_discrete:
        values = draw.integers(0, model.coding.num_classes, length).astype(np.int32)
        other = (values + model.coding.num_classes // 2) % model.coding.num_classes
    else:
        values = draw.uniform(-0.5, 0.5, length).astype(np.float32)
        other = -values
    rows = np.where(np.eye(length, dtype=bool), other[None], values[None])
    x = np.asarray(model.apply({"params": params}, jnp.asarray(np.concatenate([rows, values[None]])), method="_input"))
    return (x[:-1] != x[-1:]).any(axis=-1).T


@pytest.mark.parametrize("name", quick_among(CONFIGS))
def test_an_output_sees_the_declared_receptive_field_and_no_more(name):
    model, params = make(name)
    field = model.receptive_field
    length, probe = field + 5, field + 1
    frames, speaker = frames_for(model, 1, length)
    mix = jnp.asarray(np.random.default_rng(5).normal(size=model.distribution.output_size), jnp.float32)

    def probed(x):
        """One output as a function of the input layer's rows: classes have no gradient, their rows have."""

        def replace_input(method, arguments, options, context):
            return x if context.method_name == "_input" else method(*arguments, **options)

        values = jnp.full((1, length), model.coding.silence, jnp.int32 if model.coding.is_discrete else jnp.float32)
        with nn.intercept_methods(replace_input):
            return jnp.sum(model.apply({"params": params}, values, frames, speaker)[0, probe] * mix)

    x = np.random.default_rng(7).normal(size=(1, length, model.config.residual_channels)).astype(np.float32)
    gradient = np.asarray(cheap_jit(jax.grad(probed))(x))[0]
    seen = ((gradient != 0).any(axis=-1)[:, None] & input_reach(model, params, length)).any(axis=0)
    np.testing.assert_array_equal(seen, (np.arange(length) > probe - field) & (np.arange(length) <= probe))


@pytest.mark.parametrize("name", quick_among([name for name in CONFIGS if CONFIGS[name].frame_network is not None]))
def test_a_sample_sees_the_declared_frames_and_no_more(name):
    # One layer, so that no earlier sample's conditioning is seen through the dilated taps.
    config = dataclasses.replace(CONFIGS[name], dilations=(1,), last_residual=True)
    model = WaveNet(config)
    params, hop, interval = draw_params(model), model.hop_length, 2
    length = 5 * hop
    frames, speaker = frames_for(model, 1, length)
    values = jnp.full((1, length), model.coding.silence, jnp.int32 if model.coding.is_discrete else jnp.float32)
    mix = np.random.default_rng(1).normal(size=(hop, model.distribution.output_size)).astype(np.float32)

    def probed(frames):
        outputs = model.apply({"params": params}, values, frames, speaker)
        return jnp.sum(outputs[0, interval * hop : (interval + 1) * hop] * mix)

    seen = np.asarray(jnp.abs(cheap_jit(jax.grad(probed))(frames)[0]).max(axis=-1)) > 0
    expected = np.zeros_like(seen)
    expected[interval : interval + model.lookback + 1 + model.lookahead] = True  # frames[lookback] is interval 0's
    np.testing.assert_array_equal(seen, expected)


def training_values(model: WaveNet, batch: int, length: int) -> jax.Array:
    waveform = np.random.default_rng(8).uniform(-0.5, 0.5, (batch, length)).astype(np.float32)
    return cheap_jit(model.coding.encode)(waveform)


@pytest.mark.parametrize("name", ["speech-16k-small", pytest.param("r9y9-mol-2018", marks=pytest.mark.slow)])
def test_masks_and_noise_belong_to_the_example_not_to_the_batch(name):
    config = dataclasses.replace(CONFIGS[name], dropout=0.3, input_noise=0.2)
    model, params = WaveNet(config), make(name)[1]
    values = training_values(model, 4, 24)
    frames, _ = frames_for(model, 4, 24)
    keys = jax.random.split(jax.random.key(1), 4)
    apply = cheap_jit(lambda values, frames, keys: model.apply({"params": params}, values, frames, keys=keys))
    together = apply(values, frames, keys)
    for rows in (slice(0, 2), slice(2, 4)):
        np.testing.assert_allclose(apply(values[rows], frames[rows], keys[rows]), together[rows], atol=1e-5)
    other = apply(values[:2], frames[:2], keys[2:])
    assert float(jnp.abs(other - together[:2]).max()) > 0.01


def test_dropout_and_input_noise_act_in_training_only():
    plain, params = make("speech-16k-small")
    plain = WaveNet(
        dataclasses.replace(plain.config, frame_network=dataclasses.replace(plain.config.frame_network, dropout=0.0))
    )
    values = training_values(plain, 2, 24)
    frames, _ = frames_for(plain, 2, 24)
    keys = jax.random.split(jax.random.key(1), 2)

    def outputs(keys, **changes):
        model = WaveNet(dataclasses.replace(plain.config, **changes))
        return cheap_jit(lambda keys: model.apply({"params": params}, values, frames, keys=keys))(keys)

    expected = outputs(None)
    np.testing.assert_array_equal(outputs(keys), expected)
    frame_network = dataclasses.replace(plain.config.frame_network, dropout=0.5)
    each = {"dropout": 0.5, "input_noise": 0.5, "frame_network": frame_network}
    np.testing.assert_array_equal(outputs(None, **each), expected)
    for name, value in each.items():
        assert float(jnp.abs(outputs(keys, **{name: value}) - expected).max()) > 0.01


def test_input_noise_moves_the_stated_share_of_classes_by_one_or_two():
    model = WaveNet(dataclasses.replace(CONFIGS["speech-16k-small"], input_noise=0.25))
    values = jnp.full((4, 2000), 8, jnp.int32)

    def perturb(model, values):
        keys = jax.random.split(jax.random.key(3), 4)
        return cheap_jit(lambda keys: model.apply({"params": draw_params(model)}, values, keys, method="_perturb"))(
            keys
        )

    moved = np.asarray(perturb(model, values)) - 8
    assert set(np.unique(moved)) == {-2, -1, 0, 1, 2}
    assert np.mean(moved != 0) == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / moved.size))
    edge = perturb(model, jnp.zeros((4, 2000), jnp.int32))
    assert int(edge.min()) == 0

    model = WaveNet(dataclasses.replace(CONFIGS["r9y9-gaussian"], input_noise=0.1))
    noise = np.asarray(perturb(model, jnp.zeros((4, 2000), jnp.float32)))
    assert noise.std() == pytest.approx(0.1, rel=4 / math.sqrt(2 * noise.size))


@pytest.mark.parametrize("modes", [{"remat": True}, {"defer_skips": True}])
def test_how_it_is_computed_changes_no_gradient_and_no_mask(modes):
    model, params = make("r9y9-mol-2018")
    assert model.config.dropout
    assert len(set(model.config.skip_coefficients)) > 1
    values = training_values(model, 2, 20)
    frames, _ = frames_for(model, 2, 20)
    keys = jax.random.split(jax.random.key(1), 2)

    def gradient(**modes):
        def loss(params):
            return jnp.mean(model.apply({"params": params}, values, frames, keys=keys, scored=15, **modes) ** 2)

        return cheap_jit(jax.grad(loss))(params)

    plain, other = gradient(), gradient(**modes)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(plain))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.parametrize("name", ["nsynth", "r9y9-mol+speakers"])
def test_bfloat16_is_close_and_leaves_parameters_and_output_in_float32(name):
    model, params = make(name)
    values = training_values(model, 2, 20)
    frames, speaker = frames_for(model, 2, 20)

    def outputs(model):
        return cheap_jit(lambda params: model.apply({"params": params}, values, frames, speaker))(params)

    exact, rough = outputs(model), outputs(WaveNet(model.config, dtype=jnp.bfloat16))
    assert rough.dtype == jnp.float32
    # 8 bits of mantissa through a handful of layers.
    error = float(jnp.sqrt(jnp.mean((rough - exact) ** 2)) / jnp.std(exact))
    assert 1e-5 < error < 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dilations": ()}, "dilations must be a non-empty tuple of integers >= 1"),
        ({"dilations": (1, 0)}, r"got \(1, 0\)"),
        ({"kernel_size": 1}, "kernel_size must be at least 2, got 1"),
        ({"distribution": LogisticMixture()}, "coding 'mu_law' does not fit LogisticMixture"),
        ({"distribution": Categorical(num_classes=128)}, "the distribution has 128 classes but the coding 256"),
        ({"distribution": CoarseFine(coarse=4, fine=4)}, "the distribution has 16 classes but the coding 256"),
        (
            {"coding": SampleCoding(kind="continuous", num_classes=65536), "distribution": LogisticMixture()},
            "continuous values need input_kind='scalar', got 'one_hot'",
        ),
        ({"frame_network": FrameNetworkConfig()}, "needs both frame_network and upsampler"),
        ({"num_speakers": 2}, "2 speakers need global_channels >= 1"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        WaveNetConfig(**{"dilations": (1, 2), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_blocks": 2}, "needs input_kernel_size >= 1 to reach its width, got 0"),
        ({"input_kernel_size": 3, "future": 3}, "future must lie between 0 and the context of 2 frames, got 3"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
    ],
)
def test_impossible_frame_networks_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        FrameNetworkConfig(**changes)


def test_an_unknown_preset_lists_those_that_exist():
    with pytest.raises(
        KeyError, match=r"no WaveNet preset is called 'wavenet-99'; there are .*ibab, nsynth, .*wavenet-30"
    ):
        get_preset("wavenet-99")
    assert get_preset("wavenet-30").dilations == powers(3, 10) == tuple(2 ** (i % 10) for i in range(30))


@pytest.mark.parametrize(
    ("name", "frames", "speaker", "message"),
    [
        ("speech-16k", None, None, r"needs conditioning frames \[B, F, 3\], got none"),
        ("speech-16k", (1, 9, 4), None, "conditioning frames need 3 channels, got 4"),
        (
            "speech-16k",
            (1, 5, 3),
            None,
            r"12 samples from 0 on need 9 frames \(of which lookback 3 and lookahead 3\), got 5",
        ),
        ("ibab", (1, 9, 3), None, "has no local conditioning, but frames were given"),
        ("ibab", None, (1,), "has no global conditioning, but global_conditioning was given"),
        ("ibab+speakers", None, None, "needs global_conditioning: speaker ids below 3"),
    ],
)
def test_conditioning_that_does_not_fit_is_refused(name, frames, speaker, message):
    model, params = make(name)
    values = jnp.zeros((1, 12), jnp.int32)
    frames = None if frames is None else jnp.zeros(frames, jnp.float32)
    speaker = None if speaker is None else jnp.zeros(speaker, jnp.int32)
    with pytest.raises(ValueError, match=message):
        model.apply({"params": params}, values, frames, speaker)


def test_a_given_vector_conditions_globally():
    config = dataclasses.replace(CONFIGS["ibab"], global_channels=2)
    model = WaveNet(config)
    params = draw_params(model)
    assert "speaker_embedding" not in params
    values = jnp.zeros((2, 12), jnp.int32)
    outputs = model.apply({"params": params}, values, None, jnp.asarray([[0.5, -1.0], [1.0, 1.0]], jnp.float32))
    assert float(jnp.abs(outputs[0] - outputs[1]).max()) > 0.01
    with pytest.raises(ValueError, match=r"global_conditioning must have shape \(2, 2\), got \(2, 3\)"):
        model.apply({"params": params}, values, None, jnp.zeros((2, 3), jnp.float32))
