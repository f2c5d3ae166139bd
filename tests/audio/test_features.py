"""Feature specs: their numbers against the public recipes, their frames against clicks, their values on silence."""

import dataclasses
import functools
import json
import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from scipy import signal

from wavejax.audio.features import SPECS, FeatureSpec, get_spec, log_mel, log_mel_numpy, mel_magnitudes

ALL = sorted(SPECS)
compiled_log_mel = jax.jit(log_mel, static_argnums=1)


def speech_like(num_samples: int, sample_rate: int, seed: int = 0) -> np.ndarray:
    """Harmonics falling 9 dB per octave, a slow envelope and breath, quantised to 16 bits like a recording."""
    generator = np.random.default_rng(seed)
    time = np.arange(num_samples) / sample_rate
    phase = 2 * np.pi * (130 * time + 8 * np.sin(2 * np.pi * 3 * time) / (2 * np.pi * 3))
    voice = sum(np.sin(k * phase) / k**1.5 for k in range(1, int(0.45 * sample_rate / 140)))
    envelope = 0.5 - 0.5 * np.cos(2 * np.pi * 2.3 * time)
    mixture = 0.2 * envelope * voice + 0.003 * generator.standard_normal(num_samples)
    return (np.round(32768 * mixture.clip(-0.99, 0.99)) / 32768).astype(np.float32)


def librosa_mel(frames_first_magnitude: np.ndarray, spec: FeatureSpec, f_max: float | None) -> np.ndarray:
    basis = librosa.filters.mel(sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=80, fmin=spec.f_min, fmax=f_max)
    return frames_first_magnitude @ basis.T.astype(np.float64)


def centred(x: np.ndarray, n_fft: int, hop: int, win: int) -> np.ndarray:
    return np.abs(librosa.stft(x, n_fft=n_fft, hop_length=hop, win_length=win, pad_mode="reflect")).T


def recipe(name: str, x: np.ndarray) -> np.ndarray:
    """The features of each public project, restated with librosa and scipy from its own description."""
    spec, x = get_spec(name), x.astype(np.float64)
    if name in ("tacotron2", "nv-wavenet"):
        size = spec.n_fft
        return np.log(np.maximum(librosa_mel(centred(x, size, size // 4, size), spec, 8000.0), 1e-5))
    if name == "hifi-gan":
        spectrum = librosa.stft(np.pad(x, 384, mode="reflect"), n_fft=1024, hop_length=256, center=False).T
        return np.log(np.maximum(librosa_mel(np.sqrt(np.abs(spectrum) ** 2 + 1e-9), spec, 8000.0), 1e-5))
    if name == "r9y9-old":
        window = np.sqrt(0.5 * (1 - np.cos(np.pi * np.arange(1, 2048, 2) / 1024)) * 2 * 256 / 1024)
        padded = np.pad(x, 768)
        count = (len(padded) - 1024) // 256 + (1 if len(padded) % 256 == 0 else 2)
        padded = np.pad(padded, (0, (count - 1) * 256 + 1024 - len(padded)))
        frames = np.stack([padded[256 * f : 256 * f + 1024] * window for f in range(count)])
        decibels = 20 * np.log10(np.maximum(1e-5, librosa_mel(np.abs(np.fft.rfft(frames)), spec, 7600.0))) - 20
        return np.clip((decibels + 100) / 100, 0, 1)
    if name == "r9y9-new":
        taps = signal.firwin(255, 70 / 11025, pass_zero=False)
        x = signal.lfilter(taps, 1, np.pad(x, (0, 127)))[127:]
        return np.log10(np.maximum(librosa_mel(centred(x, 1024, 256, 1024), spec, 7600.0), 1e-10))
    if name == "fatchord":
        decibels = 20 * np.log10(np.maximum(1e-5, librosa_mel(centred(x, 2048, 275, 1100), spec, None)))
        return np.clip((decibels + 100) / 100, 0, 1)
    if name == "parallel-wavegan":
        return np.log10(np.maximum(1e-10, librosa_mel(centred(x, 1024, 256, 1024), spec, 7600.0)))
    if name == "parallel-wavegan-24k":
        return np.log10(np.maximum(1e-10, librosa_mel(centred(x, 2048, 300, 1200), spec, 7600.0)))
    if name == "speech-16k":
        spectrum = librosa.stft(
            np.pad(x, 412, mode="reflect"), n_fft=1024, hop_length=200, win_length=800, center=False
        )
        return np.log(np.maximum(librosa_mel(np.abs(spectrum.T), spec, 8000.0), 1e-5))
    if name == "vocos-24k":
        magnitude = np.abs(librosa.stft(x, n_fft=1024, hop_length=256, pad_mode="reflect")).T
        basis = librosa.filters.mel(sr=24000, n_fft=1024, n_mels=100, fmin=0, fmax=12000, htk=True, norm=None)
        return np.log(np.maximum(magnitude @ basis.T.astype(np.float64), 1e-7))
    raise AssertionError(f"spec {name} has no recipe in this test")


@pytest.mark.parametrize("name", ALL)
def test_named_specs_are_the_public_recipes(name: str) -> None:
    spec = get_spec(name)
    for num_samples in (9216, 4801):
        x = speech_like(num_samples, spec.sample_rate)
        expected = recipe(name, x)
        assert spec.num_frames(num_samples) == len(expected)
        np.testing.assert_allclose(log_mel_numpy(x, spec), expected, atol=1e-5)
    np.testing.assert_allclose(compiled_log_mel(x, spec), expected, atol=1e-4)


def test_speech_16k_is_what_was_agreed() -> None:
    spec = get_spec("speech-16k")
    assert (spec.sample_rate, spec.n_fft, spec.win_length, spec.hop_length, spec.n_mels) == (16000, 1024, 800, 200, 80)
    assert (spec.f_min, spec.f_max, spec.power, spec.floor, spec.log_base) == (0.0, 8000.0, 1, 1e-5, "e")
    assert spec.frame_centre == 100
    assert [spec.num_frames(n) for n in (199, 200, 399, 400, 16000)] == [0, 1, 1, 2, 80]
    np.testing.assert_allclose(spec.silence, np.log(1e-5), rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_number_of_frames_for_any_length(name: str) -> None:
    spec = get_spec(name)
    for num_samples in (
        1,
        2,
        spec.hop_length - 1,
        spec.hop_length,
        spec.hop_length + 1,
        997,
        spec.n_fft,
        3 * spec.n_fft + 1,
    ):
        if spec.num_frames(num_samples):
            features = log_mel_numpy(np.ones(num_samples, np.float32), spec)
            assert features.shape == (spec.num_frames(num_samples), spec.n_mels)
            assert np.all(np.isfinite(features))


def test_frame_counts_of_each_padding() -> None:
    base = {"name": "x", "sample_rate": 8000, "n_fft": 64, "win_length": 64, "hop_length": 16, "n_mels": 8}
    counts = {
        "centre": lambda n: 1 + n // 16,
        "same": lambda n: n // 16,
        "full": lambda n: math.ceil(n / 16) + 3,
        "none": lambda n: max(0, (n - 64) // 16 + 1),
    }
    for padding, count in counts.items():
        spec = FeatureSpec(padding=padding, **base)
        for num_samples in (1, 15, 16, 17, 63, 64, 65, 127, 128, 1000):
            assert spec.num_frames(num_samples) == count(num_samples), (padding, num_samples)
            # The last frame is whole: padding never leaves fewer samples than the frames need.
            padded = spec.pad_left + num_samples + spec.pad_right(num_samples)
            assert padded >= (spec.num_frames(num_samples) - 1) * 16 + 64 or spec.num_frames(num_samples) == 0
        assert spec.num_frames(0) == 0


@functools.lru_cache
def clicks_around_a_frame(spec: FeatureSpec) -> tuple[int, np.ndarray, np.ndarray]:
    """(frame, offsets, response [offset, frame]): mel magnitudes of clicks at offsets from that frame's centre."""
    frame = 5 + spec.n_fft // spec.hop_length
    centre = spec.frame_centre + frame * spec.hop_length
    offsets = np.arange(-spec.hop_length // 3, spec.hop_length)
    clicks = np.zeros((len(offsets), centre + 2 * spec.n_fft), np.float32)
    clicks[np.arange(len(offsets)), centre + offsets] = 0.5
    response = jax.jit(mel_magnitudes, static_argnums=1)(clicks, spec)
    return frame, offsets, np.asarray(response, np.float64).sum(axis=-1)


@pytest.mark.parametrize("name", ALL)
def test_a_click_is_where_its_frame_says(name: str) -> None:
    """A click moved through a frame is loudest at frame_centre + f hop_length and falls off evenly on both sides."""
    spec = get_spec(name)
    frame, offsets, response = clicks_around_a_frame(spec)
    near = np.abs(offsets) <= spec.hop_length // 3
    assert np.all(np.argmax(response[near], axis=1) == frame)
    curvature, slope, _ = np.polyfit(offsets[near], response[near, frame], 2)
    assert curvature < 0
    loudest = -slope / (2 * curvature)
    assert abs(loudest) <= (0.51 if spec.window == "sqrt_hann" else 0.01)
    # Seen from the frames: the neighbours before and after hear a click on the centre equally, up to that half sample.
    on_centre = response[offsets == 0][0]
    assert on_centre[frame - 1] == pytest.approx(on_centre[frame + 1], rel=0.01)


@pytest.mark.parametrize("name", ALL)
def test_a_click_between_two_frames_is_found_within_a_sample(name: str) -> None:
    """The reverse: from frame energies alone, the balance of two neighbours tells a click's sample to within one."""
    spec = get_spec(name)
    frame, offsets, response = clicks_around_a_frame(spec)
    # A click's response is the window itself: invert the ratio of the two frames' window values.
    window = spec.frame_window / spec.frame_window.max()
    middle = (spec.n_fft - spec.win_length) // 2 + spec.win_length // 2
    candidates = np.arange(spec.hop_length + 1)
    ratios = np.log(window[middle + candidates] / window[middle + candidates - spec.hop_length])
    between = offsets >= 1
    measured = np.log(response[between, frame] / response[between, frame + 1])
    found = candidates[np.argmin(np.abs(ratios[None, :] - measured[:, None]), axis=1)]
    assert np.max(np.abs(found - offsets[between])) <= 1


@pytest.mark.parametrize("name", ALL)
def test_silence_is_its_stated_value(name: str) -> None:
    spec = get_spec(name)
    silent = np.zeros(4 * spec.n_fft, np.float32)
    features = log_mel_numpy(silent, spec)
    np.testing.assert_allclose(features, np.broadcast_to(spec.silence, features.shape), atol=1e-6)
    if name in ("speech-16k", "hifi-gan", "fatchord"):
        np.testing.assert_allclose(compiled_log_mel(silent, spec), features, atol=1e-6)


def test_gradient_is_finite_on_silence_and_right_elsewhere() -> None:
    spec = get_spec("speech-16k")
    quiet = jnp.concatenate([jnp.zeros(1200), jnp.asarray(speech_like(1200, 16000))])
    weight = jnp.asarray(np.random.default_rng(0).standard_normal((12, 80)), jnp.float32)

    def objective(x: jax.Array) -> jax.Array:
        return jnp.vdot(weight, log_mel(x, spec))

    gradient = jax.jit(jax.grad(objective))(quiet)
    assert bool(jnp.all(jnp.isfinite(gradient)))
    assert bool(jnp.all(gradient[:500] == 0.0))
    silent = jax.jit(jax.grad(objective))(jnp.zeros(2400))
    assert bool(jnp.all(jnp.isfinite(silent)))
    direction = np.random.default_rng(1).standard_normal(2400) * np.concatenate([np.zeros(1200), np.ones(1200)])
    step = 1e-5
    rise, fall = (log_mel_numpy(np.asarray(quiet, np.float64) + s * step * direction, spec) for s in (1, -1))
    expected = np.vdot(weight, rise.astype(np.float64) - fall.astype(np.float64)) / (2 * step)
    assert float(jnp.vdot(gradient, jnp.asarray(direction, jnp.float32))) == pytest.approx(expected, rel=2e-2)


def test_any_leading_axes_and_numpy_input() -> None:
    spec = get_spec("speech-16k")
    x = np.stack([[speech_like(1601, 16000, seed=2 * i + j) for j in range(2)] for i in range(3)])
    batched = compiled_log_mel(x, spec)
    assert batched.shape == (3, 2, 8, 80)
    assert batched.dtype == jnp.float32
    np.testing.assert_allclose(batched[2, 1], log_mel_numpy(x[2, 1], spec), atol=1e-4)


def test_pre_emphasis_belongs_to_the_spec() -> None:
    spec = dataclasses.replace(get_spec("speech-16k"), name="emphasised", pre_emphasis=0.97)
    x = speech_like(3000, 16000)
    emphasised = np.append(x[:1], x[1:] - np.float32(0.97) * x[:-1])
    expected = log_mel_numpy(emphasised, get_spec("speech-16k"))
    np.testing.assert_allclose(log_mel_numpy(x, spec), expected, atol=1e-4)
    np.testing.assert_allclose(compiled_log_mel(x, spec), expected, atol=1e-4)


def test_statistics_make_z_scores() -> None:
    plain = get_spec("parallel-wavegan")
    x = speech_like(22050, 22050)
    features = log_mel_numpy(x, plain)
    normalised = plain.with_statistics(features.mean(axis=0), features.std(axis=0))
    assert normalised.name == "parallel-wavegan-normalised"
    scores = log_mel_numpy(x, normalised)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scores.std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(compiled_log_mel(x, normalised), scores, atol=1e-3)
    assert hash(normalised) != hash(plain)
    twice = normalised.with_statistics(np.ones(80), 2 * np.ones(80))
    np.testing.assert_allclose(log_mel_numpy(x, twice), (scores - 1) / 2, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_specs_survive_json(name: str) -> None:
    spec = get_spec(name)
    restored = FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert restored == spec
    assert restored.name == name
    assert dataclasses.replace(spec, name="renamed") == spec
    assert dataclasses.replace(spec, floor=2 * spec.floor) != spec
    if spec.clip is None:
        normalised = spec.with_statistics(np.linspace(-3, 3, spec.n_mels), np.linspace(0.1, 2, spec.n_mels))
        assert FeatureSpec.from_dict(json.loads(json.dumps(normalised.to_dict()))) == normalised


def test_dictionaries_with_wrong_keys_are_refused() -> None:
    fields = get_spec("speech-16k").to_dict()
    with pytest.raises(ValueError, match="feature spec has unknown keys: n_mel; known are name, sample_rate"):
        FeatureSpec.from_dict(fields | {"n_mel": 80})
    del fields["hop_length"]
    with pytest.raises(ValueError, match="feature spec lacks keys: hop_length"):
        FeatureSpec.from_dict(fields)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no feature spec is called 'speech-8k'; known are fatchord, .*speech-16k"):
        get_spec("speech-8k")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"win_length": 2000}, "win_length 2000 exceeds n_fft 1024 in spec 'speech-16k'"),
        ({"hop_length": 1025}, "hop_length 1025 exceeds n_fft 1024"),
        ({"f_max": 9000.0}, r"run from 0.0 to 9000.0 Hz; expected 0 <= f_min < f_max <= 8000.0 Hz"),
        ({"n_mels": 0}, "n_mels of spec 'speech-16k' is 0; expected a positive integer"),
        ({"floor": 0.0}, "floor of spec 'speech-16k' is 0.0; expected a positive number"),
        ({"magnitude_epsilon": -1.0}, "magnitude_epsilon of spec 'speech-16k' is -1.0"),
        ({"scale": (1.0, 2.0)}, "scale of spec 'speech-16k' has 2 values for 80 mel bands"),
        ({"scale": -1.0}, "scale of spec 'speech-16k' must be positive in every band"),
        ({"offset": float("nan")}, "offset of spec 'speech-16k' holds a value that is not finite"),
        ({"clip": (1.0, 0.0)}, r"clip of spec 'speech-16k' is \(1.0, 0.0\); expected \(low, high\)"),
        ({"pre_emphasis": 1.0}, "pre_emphasis of spec 'speech-16k' is 1.0; expected at least 0 and below 1"),
        ({"high_pass": 8000.0}, "high_pass of spec 'speech-16k' is 8000.0 Hz"),
    ],
)
def test_impossible_specs_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(get_spec("speech-16k"), **change)


def test_words_outside_the_choices_are_refused_without_a_type_checker() -> None:
    # The type checker of these tests would stop a wrong word first, so this looks at a plain process.
    script = (
        "import dataclasses\nfrom wavejax.audio.specs import get_spec\n"
        "dataclasses.replace(get_spec('speech-16k'), padding='center')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (
        "padding of spec 'speech-16k' is 'center'; expected one of 'centre', 'same', 'full', 'none'." in result.stderr
    )


def test_statistics_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="'fatchord' clips its features; z-scores belong before clipping"):
        get_spec("fatchord").with_statistics(np.zeros(80), np.ones(80))
    with pytest.raises(ValueError, match=r"statistics have shapes \(79,\) and \(80,\); spec 'tacotron2' needs \(80,\)"):
        get_spec("tacotron2").with_statistics(np.zeros(79), np.ones(80))
    with pytest.raises(ValueError, match="standard_deviation holds a value that is not positive"):
        get_spec("tacotron2").with_statistics(np.zeros(80), np.zeros(80))


def test_waveforms_without_a_frame_are_refused() -> None:
    spec = get_spec("speech-16k")
    message = r"a waveform of 199 samples has no frame of spec 'speech-16k'; it needs at least 200 samples \(12.5 ms\)"
    with pytest.raises(ValueError, match=message):
        log_mel(np.zeros(199, np.float32), spec)
    with pytest.raises(ValueError, match=message):
        log_mel_numpy(np.zeros(199, np.float32), spec)
    with pytest.raises(ValueError, match="a waveform of 0 samples has no frame of spec 'tacotron2'"):
        log_mel_numpy(np.zeros(0, np.float32), get_spec("tacotron2"))


def test_the_numpy_side_never_imports_jax() -> None:
    script = (
        "import sys, numpy as np\n"
        "from wavejax.audio import get_spec, log_mel_numpy, read_audio, trim_silence, resample, convert_features\n"
        "log_mel_numpy(np.zeros(400, np.float32), get_spec('speech-16k'))\n"
        "print('jax' in sys.modules, 'soundfile' in sys.modules, 'librosa' in sys.modules)\n"
        "from wavejax.audio import SampleCoding, log_mel\n"
        "import jax._src.xla_bridge as bridge\n"
        "print('soundfile' in sys.modules, bool(bridge._backends))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False", "False", "False", "False"]


def test_every_public_name_resolves() -> None:
    import wavejax.audio

    for name in wavejax.audio.__all__:
        assert getattr(wavejax.audio, name) is not None
        assert name in dir(wavejax.audio)
    with pytest.raises(AttributeError, match=r"module 'wavejax\.audio' has no attribute 'mfcc'"):
        _ = wavejax.audio.mfcc
