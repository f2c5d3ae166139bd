"""STFT, mel filterbank and log-mel against librosa over a grid of settings and odd lengths."""

import functools
import itertools

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.features import log_mel, log_mel_numpy
from wavejax.audio.filterbanks import frame_window, hz_to_mel, mel_filterbank, mel_to_hz
from wavejax.audio.spectral import frames_of, magnitudes, pad_waveform, stft

# Floating-point spectra are exact relative to their largest bin, so logarithms are compared on a broadband signal.


def broadband(num_samples: int, seed: int = 0) -> np.ndarray:
    """Noise, coloured a little and swelling, in [-1, 1]."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal(num_samples + 1)
    coloured = noise[1:] + 0.5 * noise[:-1]
    return (0.1 * coloured * (1.2 + np.sin(np.arange(num_samples) / 900.0))).clip(-1, 1).astype(np.float32)


# (sample_rate, n_fft, hop, win)
FRAMES = [
    (8000, 256, 64, 256),
    (16000, 1024, 200, 800),
    (16000, 800, 200, 800),
    (16000, 512, 101, 399),
    (22050, 1024, 256, 1024),
    (22050, 2048, 275, 1100),
    (24000, 2048, 300, 1200),
    (48000, 2048, 512, 1801),
]
LENGTHS = [1, 2, 199, 601, 1024, 4001, 7919]


@pytest.mark.parametrize(("sample_rate", "n_fft", "hop", "win"), FRAMES)
@pytest.mark.parametrize("num_samples", [4001])
def test_centred_stft_is_librosas(sample_rate: int, n_fft: int, hop: int, win: int, num_samples: int) -> None:
    x = broadband(num_samples)
    window = frame_window(n_fft, win, hop)
    settings = {"window": window, "hop_length": hop, "pad_left": n_fft // 2, "pad_right": n_fft // 2}
    ours = jax.jit(functools.partial(stft, **settings))(x)
    padded = np.pad(x.astype(np.float64), n_fft // 2, mode="reflect")
    theirs = librosa.stft(padded, n_fft=n_fft, hop_length=hop, win_length=win, center=False).T
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    with_centre = librosa.stft(x, n_fft=n_fft, hop_length=hop, win_length=win, pad_mode="reflect").T
    np.testing.assert_allclose(ours, with_centre, atol=1e-4)


@pytest.mark.parametrize(("sample_rate", "n_fft", "hop", "win"), FRAMES)
@pytest.mark.parametrize(
    ("scale", "norm"), [("slaney", "slaney"), ("htk", "slaney"), ("slaney", "none"), ("htk", "none")]
)
def test_mel_filterbank_is_librosas(sample_rate: int, n_fft: int, hop: int, win: int, scale: str, norm: str) -> None:
    for n_mels, low, high in ((20, 0.0, None), (20, 125.0, 3800.0), (40, 20.0, 4000.0)):
        ours = mel_filterbank(sample_rate, n_fft, n_mels, low, high, scale, norm)
        if not np.all(ours.max(axis=0) > 0):  # librosa warns of empty filters; the test of them is below
            continue
        theirs = librosa.filters.mel(
            sr=sample_rate,
            n_fft=n_fft,
            n_mels=n_mels,
            fmin=low,
            fmax=high,
            htk=scale == "htk",
            norm="slaney" if norm == "slaney" else None,
        )
        np.testing.assert_allclose(ours, theirs.T, atol=1e-6)


def test_mel_scales_are_librosas_and_invertible() -> None:
    hertz = np.concatenate([np.linspace(0, 24000, 401), [999.999, 1000.0, 1000.001]])
    for scale in ("slaney", "htk"):
        np.testing.assert_allclose(hz_to_mel(hertz, scale), librosa.hz_to_mel(hertz, htk=scale == "htk"), atol=1e-9)
        np.testing.assert_allclose(mel_to_hz(hz_to_mel(hertz, scale), scale), hertz, atol=1e-6)


def test_a_filter_between_two_bins_is_empty_rather_than_wrong() -> None:
    with pytest.warns(UserWarning, match="Empty filters"):
        theirs = librosa.filters.mel(sr=48000, n_fft=512, n_mels=128)
    np.testing.assert_allclose(mel_filterbank(48000, 512, 128), theirs.T, atol=1e-6)


LOG_BASES = ["e", "10", "db20"]
# Every framing with every padding; power, log base and length take turns.
GRID = [
    (frames, padding, 1 + i % 2, LOG_BASES[(i + i // 3) % 3], LENGTHS[i % len(LENGTHS)])
    for i, (frames, padding) in enumerate(itertools.product(FRAMES, ["centre", "same", "none"]))
]


@pytest.mark.parametrize(("frames", "padding", "power", "log_base", "num_samples"), GRID)
def test_log_mel_is_librosas(
    frames: tuple[int, int, int, int], padding: str, power: int, log_base: str, num_samples: int
) -> None:
    sample_rate, n_fft, hop, win = frames
    if padding != "centre":
        num_samples = max(num_samples, n_fft)
    spec = FeatureSpec(
        name="grid",
        sample_rate=sample_rate,
        n_fft=n_fft,
        win_length=win,
        hop_length=hop,
        padding=padding,
        n_mels=20,
        f_min=50.0,
        f_max=3900.0,
        mel_scale="htk" if hop % 2 else "slaney",
        power=power,
        log_base=log_base,
        floor=1e-5,
    )
    x = broadband(num_samples)
    slack = n_fft - hop
    left, right = {"centre": (n_fft // 2, n_fft // 2), "same": (slack // 2, slack - slack // 2), "none": (0, 0)}[
        padding
    ]
    padded = np.pad(x.astype(np.float64), (left, right), mode="reflect") if left else x.astype(np.float64)
    mel = librosa.feature.melspectrogram(
        y=padded,
        sr=sample_rate,
        n_fft=n_fft,
        hop_length=hop,
        win_length=win,
        center=False,
        power=power,
        n_mels=20,
        fmin=50.0,
        fmax=3900.0,
        htk=bool(hop % 2),
    )
    log = {"e": np.log, "10": np.log10, "db20": lambda v: 20 * np.log10(v)}[log_base]
    expected = log(np.maximum(mel, 1e-5)).T
    scale = 8.7 if log_base == "db20" else 1.0  # decibels per neper: the same relative error
    ours = jax.jit(log_mel, static_argnums=1)(x, spec)
    assert ours.shape == expected.shape == (spec.num_frames(num_samples), 20)
    np.testing.assert_allclose(ours, expected, atol=1e-4 * scale)
    np.testing.assert_allclose(log_mel_numpy(x, spec), expected, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("num_samples", "frame", "hop"), [(10, 10, 3), (11, 4, 4), (97, 16, 5), (40, 7, 1), (64, 8, 8)]
)
def test_frames_are_slices(num_samples: int, frame: int, hop: int) -> None:
    x = jnp.arange(2 * num_samples, dtype=jnp.float32).reshape(2, num_samples)
    expected = np.lib.stride_tricks.sliding_window_view(np.asarray(x), frame, axis=-1)[:, ::hop]
    np.testing.assert_array_equal(frames_of(x, frame, hop), expected)


def test_too_short_for_a_frame_is_an_error() -> None:
    with pytest.raises(ValueError, match="a waveform of 9 samples is shorter than one frame of 10"):
        frames_of(jnp.zeros(9), 10, 2)


@pytest.mark.parametrize("num_samples", [1, 2, 3, 50])
def test_padding_is_numpys(num_samples: int) -> None:
    x = broadband(num_samples)
    np.testing.assert_array_equal(pad_waveform(jnp.asarray(x), 7, 11), np.pad(x, (7, 11), mode="reflect"))
    np.testing.assert_array_equal(pad_waveform(jnp.asarray(x), 7, 11, "zero"), np.pad(x, (7, 11)))


def test_magnitude_and_its_gradient_at_zero() -> None:
    spectrum = jnp.asarray([3 + 4j, 0, 1e-25 + 0j, -2j], jnp.complex64)
    np.testing.assert_allclose(magnitudes(spectrum), [5, 0, 0, 2], atol=1e-20)
    np.testing.assert_allclose(magnitudes(spectrum, power=2), [25, 0, 0, 4], atol=1e-20)
    np.testing.assert_allclose(magnitudes(spectrum, epsilon=1e-9)[1], np.sqrt(1e-9), rtol=1e-6)

    def total(pair: jax.Array) -> jax.Array:
        return jnp.sum(magnitudes(jax.lax.complex(pair[0], pair[1])))

    gradient = jax.grad(total)(jnp.stack([spectrum.real, spectrum.imag]))
    np.testing.assert_allclose(gradient[:, 0], [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(gradient[:, 1], [0.0, 0.0])
    assert bool(jnp.all(jnp.isfinite(gradient)))
