"""The inverse transform against a slow loop, and the sines in turns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.nn.inverse_stft import InverseSTFT, cosine_sine

RNG = np.random.default_rng(0)


def spectra(frames: int, bins: int) -> np.ndarray:
    return RNG.normal(size=(2, frames, bins)) + 1j * RNG.normal(size=(2, frames, bins))


def both(spectrum: np.ndarray) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(spectrum.real, jnp.float32), jnp.asarray(spectrum.imag, jnp.float32)


def by_hand(spectrum: np.ndarray, inverse: InverseSTFT) -> np.ndarray:
    """Windowed frames added up one by one and divided by the squared windows, from frame 0's first sample on."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(inverse.n_fft) / inverse.n_fft)
    length = (spectrum.shape[1] - 1) * inverse.hop_length + inverse.n_fft
    total, weight = np.zeros((2, length)), np.zeros(length)
    for frame in range(spectrum.shape[1]):
        at = slice(frame * inverse.hop_length, frame * inverse.hop_length + inverse.n_fft)
        total[:, at] += np.fft.irfft(spectrum[:, frame], n=inverse.n_fft) * window
        weight[at] += window**2
    return total / np.maximum(weight, 1e-12)


@pytest.mark.parametrize(("n_fft", "hop"), [(16, 4), (12, 4), (20, 10), (8, 2)])
@pytest.mark.parametrize("padding", ["centre", "same"])
def test_it_adds_up_what_overlaps(n_fft: int, hop: int, padding: str) -> None:
    inverse = InverseSTFT(n_fft=n_fft, hop_length=hop, padding=padding)
    spectrum = spectra(9, n_fft // 2 + 1)
    expected = by_hand(spectrum, inverse)[:, inverse.left :]
    whole = inverse.whole(*both(spectrum))
    assert whole.shape == (2, (8 if padding == "centre" else 9) * hop)
    np.testing.assert_allclose(whole, expected[:, : whole.shape[1]], atol=1e-5)
    back, forward = inverse.lookback, inverse.lookahead
    windowed = inverse.overlap_add(inverse.frames(*both(spectrum)))
    np.testing.assert_allclose(windowed, expected[:, back * hop : (9 - forward) * hop], atol=1e-5)
    # Samples 0 .. hop - 1 are overlapped by the frames -back .. forward, and by no other.
    ends, begins = (lambda frame: frame * hop - inverse.left + n_fft), (lambda frame: frame * hop - inverse.left)
    assert ends(-back) > 0 >= ends(-back - 1)
    assert begins(forward) < hop <= begins(forward + 1)


def test_sines_and_their_gradients_in_turns() -> None:
    turns = jnp.asarray(np.concatenate([RNG.normal(0, 30, 1000), np.arange(-8, 9) / 4]), jnp.float32)
    exact = 2 * np.pi * np.asarray(turns, np.float64)
    cosine, sine = cosine_sine(turns)
    np.testing.assert_allclose(cosine, np.cos(exact), atol=1e-6)
    np.testing.assert_allclose(sine, np.sin(exact), atol=1e-6)
    for part, slope in ((0, -np.sin(exact)), (1, np.cos(exact))):
        gradient = jax.grad(lambda t, part=part: jnp.sum(cosine_sine(t)[part]))(turns)
        np.testing.assert_allclose(gradient, 2 * np.pi * slope, atol=1e-5)


def test_impossible_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"twice that or more, got n_fft 1024 and hop_length 200"):
        InverseSTFT(n_fft=1024, hop_length=200)
    with pytest.raises(ValueError, match=r"twice that or more, got n_fft 8 and hop_length 8"):
        InverseSTFT(n_fft=8, hop_length=8)
    with pytest.raises(ValueError, match=r"must be even, got 9 and 3"):
        InverseSTFT(n_fft=9, hop_length=3)
