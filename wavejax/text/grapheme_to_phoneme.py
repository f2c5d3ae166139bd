"""The pronunciation of words that no lexicon has, guessed from their letters by a small network; numpy only.

    x = convolution of the letters, as one-hot vectors, with one more before and after the word; normalised
    for each block:  x = x + gamma * contract(gelu(expand(norm(depthwise(x)))))     (ConvNeXt)
    x = a GRU over the letters from left to right beside one from right to left
    two frames for each letter = swish(linear(x)); log softmax(linear(frame)) over the blank and the phonemes

The most probable class of each frame is read as CTC does: repeats are one, blanks none. `scripts/train_g2p` trains the
same network in JAX on the lexicon and writes the weights.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wavejax.text.errors import TextError
from wavejax.text.phonemes import PHONEMES, is_vowel, stress_of, without_stress

WEIGHTS_FILE = Path(__file__).parent / "english" / "g2p.npz"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""Letter number i is one-hot channel i + 1; channel 0 marks the places before and after the word."""
FRAMES_PER_LETTER = 2
LONGEST_WORD = 64
"""Letters; what is longer is cut into pieces of this length."""
_EPSILON = np.float32(1e-6)
"""Of layer normalisations."""

Phones = tuple[str, ...]
Weights = Mapping[str, Float[np.ndarray, "..."]]


class GraphemeToPhoneme:
    """The network with its weights: names as in the training script, float16 or float32."""

    def __init__(self, weights: Weights) -> None:
        self._weights = {name: np.asarray(value, np.float32) for name, value in weights.items()}
        self._blocks = sum(name.endswith("/gamma") for name in self._weights)

    def log_probs(self, word: str) -> Float[np.ndarray, "frames classes"]:
        """Natural logs of the classes' probabilities, two frames for each letter and for each end of the word.

        Raises ValueError on other letters than a to z.
        """
        w = self._weights
        x = _convolved(_one_hot(word), w["embedding_kernel"]) + w["embedding_bias"]
        x = _normalized(x, w["input_norm_scale"], w["input_norm_bias"])
        for number in range(self._blocks):
            x = x + self._block(x, f"block_{number}")
        both = np.concatenate([self._gru(x, "forward"), self._gru(x[::-1], "backward")[::-1]], axis=1)
        frames = both @ w["expand_kernel"] + w["expand_bias"]
        frames = (frames * _sigmoid(frames)).reshape(len(x) * FRAMES_PER_LETTER, -1)
        logits = frames @ w["output_kernel"] + w["output_bias"]
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def phones(self, word: str) -> Phones:
        """The phonemes of a word of letters a to z; exactly one vowel of a result with vowels has primary stress.

        Raises ValueError on other letters.
        """
        if len(word) > LONGEST_WORD:
            pieces = (word[at : at + LONGEST_WORD] for at in range(0, len(word), LONGEST_WORD))
            return tuple(phone for piece in pieces for phone in self.phones(piece))
        log_probs = self.log_probs(word)
        best = log_probs.argmax(axis=1)
        kept = np.flatnonzero((best != 0) & (np.diff(best, prepend=0) != 0))
        phones = [PHONEMES[best[frame] - 1] for frame in kept]
        return _with_one_primary_stress(phones, [log_probs[frame] for frame in kept])

    def _block(self, x: np.ndarray, name: str) -> np.ndarray:
        w = self._weights
        taps = w[f"{name}/depthwise_kernel"]
        edge = len(taps) // 2
        padded = np.pad(x, ((edge, edge), (0, 0)))
        y = sum(padded[tap : tap + len(x)] * taps[tap] for tap in range(len(taps))) + w[f"{name}/depthwise_bias"]
        y = _normalized(y, w[f"{name}/norm_scale"], w[f"{name}/norm_bias"])
        y = _gelu(y @ w[f"{name}/expand_kernel"] + w[f"{name}/expand_bias"])
        scaled: np.ndarray = w[f"{name}/gamma"] * (y @ w[f"{name}/contract_kernel"] + w[f"{name}/contract_bias"])
        return scaled

    def _gru(self, x: np.ndarray, name: str) -> np.ndarray:
        w = self._weights
        projected = x @ w[f"{name}/input_kernel"] + w[f"{name}/input_bias"]
        kernel, bias = w[f"{name}/recurrent_kernel"], w[f"{name}/recurrent_bias"]
        size = len(kernel)
        hidden = np.zeros(size, np.float32)
        out = np.empty((len(x), size), np.float32)
        for step, given in enumerate(projected):
            own = hidden @ kernel + bias
            gates = _sigmoid(given[: 2 * size] + own[: 2 * size])
            new = np.tanh(given[2 * size :] + gates[:size] * own[2 * size :])
            hidden = new + gates[size:] * (hidden - new)
            out[step] = hidden
        return out


@functools.cache
def english_grapheme_to_phoneme() -> GraphemeToPhoneme:
    """The network in the package, read once.

    Raises TextError if its file is damaged.
    """
    try:
        with np.load(WEIGHTS_FILE) as file:
            return GraphemeToPhoneme({name: file[name] for name in file.files})
    except Exception as error:  # zip files fail in many ways
        raise TextError(
            f"the grapheme-to-phoneme weights in the package are damaged ({error}): install wavejax again, or make "
            "them anew with scripts/train_g2p"
        ) from None


def _one_hot(word: str) -> np.ndarray:
    numbers = [0, *(LETTERS.index(letter) + 1 for letter in word), 0]
    return np.eye(len(LETTERS) + 1, dtype=np.float32)[numbers]


def _convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A convolution [T, C] -> [T, out] with zeros past both ends."""
    taps, channels, out = kernel.shape
    padded = np.pad(x, ((taps // 2, taps // 2), (0, 0)))
    wide = np.concatenate([padded[tap : tap + len(x)] for tap in range(taps)], axis=1)
    product: np.ndarray = wide @ kernel.reshape(taps * channels, out)
    return product


def _normalized(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    variance = np.square(centred).mean(axis=1, keepdims=True)
    normal: np.ndarray = centred / np.sqrt(variance + _EPSILON) * scale + bias
    return normal


def _gelu(x: np.ndarray) -> np.ndarray:
    """Its usual approximation (Hendrycks and Gimpel 2016)."""
    inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x)
    y: np.ndarray = np.float32(0.5) * x * (1 + np.tanh(inner))
    return y


def _sigmoid(x: np.ndarray) -> np.ndarray:
    y: np.ndarray = 1 / (1 + np.exp(-np.clip(x, -60, 60)))
    return y


def _with_one_primary_stress(phones: list[str], log_probs: list[np.ndarray]) -> Phones:
    """The vowel most probably of primary stress keeps it; others that claim it are secondary."""
    vowels = [place for place, phone in enumerate(phones) if is_vowel(phone)]
    if not vowels:
        return tuple(phones)

    def primary(place: int) -> float:
        bare = without_stress(phones[place])
        return float(log_probs[place][PHONEMES.index(f"{bare}1") + 1])

    claims = [place for place in vowels if stress_of(phones[place]) == 1] or vowels
    best = max(claims, key=primary)
    for place in vowels:
        bare = without_stress(phones[place])
        if place == best:
            phones[place] = f"{bare}1"
        elif stress_of(phones[place]) == 1:
            phones[place] = f"{bare}2"
    return tuple(phones)


__all__ = ["FRAMES_PER_LETTER", "LETTERS", "WEIGHTS_FILE", "GraphemeToPhoneme", "english_grapheme_to_phoneme"]
