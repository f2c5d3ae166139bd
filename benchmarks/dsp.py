"""Signal processing against librosa's, as times real time: log-mel, mu-law, resampling; and Griffin-Lim.

Each pair computes the same numbers, and the check says to what tolerance. Griffin-Lim (librosa, from the same mel)
stands beside the vocoder's generation of as much sound, as what people use where they have no vocoder.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.generation import available_backends
from benchmarks.harness import Case, WrongResult, measure, result
from benchmarks.models import SEED, check_draws, make_model
from wavejax.audio import get_spec, mu_law_decode, mu_law_encode, resample
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.features import log_mel, log_mel_numpy
from wavejax.extras import require_extra
from wavejax.generation import generate
from wavejax.generation.backends import BackendName

RATE = 16_000


def run(*, quick: bool = False, repeats: int = 9, seconds: float = 20.0) -> dict[str, Any]:
    """Measure on `seconds` of noisy harmonics; Griffin-Lim and generation on three of them."""
    if quick:
        repeats, seconds = 2, 4.0
    librosa = require_extra("librosa", "eval", "the comparison with librosa")
    waveform = make_sound(seconds)
    spec = get_spec("speech-16k")
    rows = measure([*_mel_cases(librosa, waveform, spec), *_mu_law_cases(librosa, waveform)], repeats=repeats)
    rows += measure(_resampling_cases(librosa, waveform), repeats=repeats)
    rows += measure(_vocoding_cases(librosa, waveform[: 3 * RATE], spec), repeats=max(2, repeats // 3))
    return result("dsp", rows)


def make_sound(seconds: float) -> np.ndarray:
    """Gliding harmonics in noise, float32 [T]."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * (120 * time + 5 * np.sin(2 * np.pi * 0.7 * time))
    sound = sum(np.sin(k * phase) / k for k in range(1, 20)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
    return (0.2 * sound + 0.01 * rng.normal(size=len(time))).astype(np.float32)


def _case(
    what: str,
    by: str,
    run_once: Callable[[], Any],
    expected: Callable[[], np.ndarray],
    tolerance: float,
    seconds: float,
) -> Case:
    """A case whose result may differ from `expected()` by `tolerance` at most."""

    def check() -> dict[str, Any]:
        found, reference = np.asarray(run_once(), np.float64), np.asarray(expected(), np.float64)
        if found.shape != reference.shape:
            raise WrongResult(f"{what} by {by} has shape {found.shape}, expected {reference.shape}")
        error = float(np.abs(found - reference).max())
        if not error <= tolerance:
            raise WrongResult(f"{what} by {by} is off by {error:.1e}, expected at most {tolerance}")
        return {"largest_error": error, "tolerance": tolerance}

    return Case(labels={"what": what, "by": by}, run=run_once, work=seconds, check=check, unit="times real time")


def librosa_log_mel(librosa: Any, waveform: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """The same features by librosa, [F, n_mels]."""
    padding = (spec.pad_left, spec.pad_right(len(waveform)))
    padded = np.pad(waveform, padding, mode="reflect" if spec.pad_mode == "reflect" else "constant")
    mel = librosa.feature.melspectrogram(
        y=padded,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        win_length=spec.win_length,
        center=False,
        power=spec.power,
        n_mels=spec.n_mels,
        fmin=spec.f_min,
        fmax=spec.f_max,
        htk=spec.mel_scale == "htk",
        norm="slaney" if spec.mel_norm == "slaney" else None,
    )
    features: np.ndarray = np.log(np.maximum(mel, spec.floor)).T
    return features


def _mel_cases(librosa: Any, waveform: np.ndarray, spec: FeatureSpec) -> list[Case]:
    if spec.log_base != "e" or spec.pre_emphasis or spec.high_pass or spec.magnitude_epsilon:
        raise ValueError(f"the comparison with librosa is not written for the spec {spec.name}")
    compiled = jax.jit(lambda samples: log_mel(samples, spec))
    on_device = jax.device_put(waveform)
    by = {
        "wavejax, jit": lambda: jax.block_until_ready(compiled(on_device)),
        "wavejax, numpy (host)": lambda: log_mel_numpy(waveform, spec),
        "librosa": lambda: librosa_log_mel(librosa, waveform, spec),
    }

    def expected() -> np.ndarray:
        return log_mel_numpy(waveform, spec)

    seconds = len(waveform) / RATE
    return [_case("log-mel", name, run_once, expected, 2e-3, seconds) for name, run_once in by.items()]


def _mu_law_cases(librosa: Any, waveform: np.ndarray) -> list[Case]:
    encode = jax.jit(lambda samples: mu_law_encode(samples, 256, "librosa"))
    decode = jax.jit(lambda codes: mu_law_decode(codes, 256, "librosa"))
    samples = jax.device_put(waveform)
    codes = jax.block_until_ready(encode(samples))
    signed = np.asarray(codes) - 128
    seconds = len(waveform) / RATE

    def by_librosa() -> np.ndarray:
        compressed: np.ndarray = librosa.mu_compress(waveform, mu=255, quantize=True) + 128
        return compressed

    def expanded() -> np.ndarray:
        signal: np.ndarray = librosa.mu_expand(signed, mu=255.0, quantize=True)
        return signal

    return [
        # A sample within rounding of an edge may fall into the neighbouring class.
        _case("mu-law encode", "wavejax, jit", lambda: jax.block_until_ready(encode(samples)), by_librosa, 1, seconds),
        _case("mu-law encode", "librosa", by_librosa, by_librosa, 0, seconds),
        _case("mu-law decode", "wavejax, jit", lambda: jax.block_until_ready(decode(codes)), expanded, 1e-6, seconds),
        _case("mu-law decode", "librosa", expanded, expanded, 0, seconds),
    ]


def _resampling_cases(librosa: Any, waveform: np.ndarray) -> list[Case]:
    def by_librosa() -> np.ndarray:
        samples: np.ndarray = librosa.resample(
            waveform, orig_sr=RATE, target_sr=22_050, res_type="soxr_hq", scale=False
        )
        return samples

    seconds = len(waveform) / RATE
    return [
        _case(
            "resample 16 to 22.05 kHz", "wavejax", lambda: resample(waveform, RATE, 22_050), by_librosa, 1e-5, seconds
        ),
        _case("resample 16 to 22.05 kHz", "librosa", by_librosa, by_librosa, 0, seconds),
    ]


def _vocoding_cases(librosa: Any, waveform: np.ndarray, spec: FeatureSpec) -> list[Case]:
    mel = log_mel_numpy(waveform, spec)
    seconds = len(waveform) / RATE

    def griffin_lim() -> np.ndarray:
        sound: np.ndarray = librosa.feature.inverse.mel_to_audio(
            np.exp(mel.T),
            sr=spec.sample_rate,
            n_fft=spec.n_fft,
            hop_length=spec.hop_length,
            win_length=spec.win_length,
            power=spec.power,
            n_iter=32,
            fmin=spec.f_min,
            fmax=spec.f_max,
        )
        return sound

    def heard() -> dict[str, Any]:
        again = log_mel_numpy(griffin_lim(), spec)
        count = min(len(again), len(mel))
        error = float(np.abs(again[:count] - mel[:count]).mean())
        if not error < 1.0:
            raise WrongResult(f"Griffin-Lim's log-mel is off by {error:.2f} on average, expected below 1")
        return {"mean_log_mel_error": error}

    unit = "times real time"
    labels = {"what": "mel to waveform", "by": "librosa Griffin-Lim, 32 iterations"}
    cases = [Case(labels=labels, run=griffin_lim, work=seconds, check=heard, unit=unit)]
    for preset in ("speech-16k-small", "speech-16k"):
        model, params = make_model(preset)
        for backend, dtype in available_backends(model, params):
            if dtype == "float32":
                cases.append(_generation_case(preset, model, params, mel, backend))
    return cases


def _generation_case(preset: str, model: Any, params: Any, mel: np.ndarray, backend: BackendName) -> Case:
    seconds = len(mel) * model.hop_length / RATE

    def run_once() -> np.ndarray:
        waveform: np.ndarray = generate(model, params, local_conditioning=mel[None], seed=SEED, backend=backend)
        return waveform

    return Case(
        labels={"what": "mel to waveform", "by": f"wavejax {backend}, {preset}"},
        run=run_once,
        work=seconds,
        check=lambda: check_draws(model, params, run_once()[:, :2048], mel[None], what=f"{preset} by {backend}"),
        unit="times real time",
    )
