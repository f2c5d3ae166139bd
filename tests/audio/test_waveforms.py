"""Every entrance that takes a waveform takes the same: floats around [-1, 1] and int16, and refuses what is neither."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.audio import (
    SampleCoding,
    frame_levels_db,
    get_spec,
    log_mel,
    log_mel_numpy,
    loudness,
    loudness_normalize,
    peak_normalize,
    read_audio,
    resample,
    trim_silence,
    write_audio,
)
from wavejax.audio.features import mel_magnitudes
from wavejax.audio.files import AudioError
from wavejax.audio.resampling import change_speed
from wavejax.audio.waveforms import LARGEST_MAGNITUDE, check_waveform
from wavejax.generation.stream_inputs import StreamInputs
from wavejax.tasks.families import load

SPEC = get_spec("speech-16k")
PCM = np.random.default_rng(0).integers(-20_000, 20_001, 8000).astype(np.int16)
PCM[17] = 20_000
SOUND = PCM.astype(np.float32) / np.float32(32768)
CODING = SampleCoding(num_classes=256)
SCALE_FREE: dict[str, Callable[[Any], Any]] = {
    "peak_normalize": peak_normalize,
    "resample": lambda x: resample(x, 16_000, 22_050),
    "change_speed": lambda x: change_speed(x, 16_000, 16_000, 1.0),
}
ENTRANCES: dict[str, Callable[[Any], Any]] = {
    "log_mel_numpy": lambda x: log_mel_numpy(x, SPEC),
    "log_mel": lambda x: log_mel(x, SPEC),
    "mel_magnitudes": lambda x: mel_magnitudes(x, SPEC),
    "encode": lambda x: CODING.encode(x),
    "prompt": lambda x: StreamInputs(prompt=x[None]).heard(),
    "loudness": lambda x: loudness(x, 16_000),
    "loudness_normalize": lambda x: loudness_normalize(x, 16_000),
    "frame_levels_db": frame_levels_db,
    "trim_silence": lambda x: trim_silence(x)[0],
    **SCALE_FREE,
}


@pytest.mark.parametrize("name", ENTRANCES)
def test_int16_is_the_same_sound(name: str) -> None:
    np.testing.assert_array_equal(ENTRANCES[name](PCM), ENTRANCES[name](SOUND))


@pytest.mark.parametrize("name", ENTRANCES)
@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_integers_without_a_scale_are_refused(name: str, dtype: Any) -> None:
    expected = rf"waveform has dtype {np.dtype(dtype)}; expected floating point in \[-1, 1\], or int16\. Divide PCM by"
    with pytest.raises(ValueError, match=expected):
        ENTRANCES[name](PCM.astype(dtype))


@pytest.mark.parametrize("name", sorted(set(ENTRANCES) - set(SCALE_FREE)))
def test_pcm_that_was_only_cast_to_float_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"waveform reaches 20000; expected .* divided by 32768"):
        ENTRANCES[name](PCM.astype(np.float32))
    ENTRANCES[name](np.float32(0.9 * LARGEST_MAGNITUDE) * SOUND)  # loud, but a float may be


@pytest.mark.parametrize("name", SCALE_FREE)
def test_what_does_not_depend_on_the_level_takes_any(name: str) -> None:
    assert np.max(np.abs(SCALE_FREE[name](PCM.astype(np.float64)))) > 0.9


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float64, ml_dtypes.float8_e4m3fn])
def test_every_floating_point_type_is_a_waveform(tmp_path: Any, dtype: Any) -> None:
    sound = SOUND.astype(dtype)
    np.testing.assert_array_equal(log_mel_numpy(sound, SPEC), log_mel_numpy(sound.astype(np.float32), SPEC))
    assert write_audio(tmp_path / "a.wav", sound, 16_000) == 0
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], sound.astype(np.float32), atol=1 / 65536)
    assert check_waveform(sound).dtype == dtype
    with pytest.raises(ValueError, match="waveform has dtype bool"):
        check_waveform(PCM > 0)


def test_arrays_on_a_device_are_judged_by_their_dtype() -> None:
    np.testing.assert_array_equal(log_mel(jnp.asarray(PCM), SPEC), log_mel(PCM, SPEC))
    np.testing.assert_array_equal(CODING.encode(jnp.asarray(PCM)), CODING.encode(SOUND))
    with pytest.raises(ValueError, match="waveform has dtype int32"):
        log_mel(jnp.asarray(PCM, jnp.int32), SPEC)


def test_what_is_written_is_a_waveform(tmp_path: Any) -> None:
    write_audio(tmp_path / "a.wav", PCM, 16_000)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0], SOUND)
    write_audio(tmp_path / "b.wav", jnp.asarray(SOUND, jnp.bfloat16), 16_000)
    np.testing.assert_allclose(read_audio(tmp_path / "b.wav")[0], SOUND, atol=2**-8)
    with pytest.raises(AudioError, match=r"c\.wav cannot be written: waveform reaches 20000; expected floating point"):
        write_audio(tmp_path / "c.wav", PCM.astype(np.float32), 16_000)
    assert write_audio(tmp_path / "d.wav", PCM.astype(np.float32), 16_000, "FLOAT") == 0
    with pytest.raises(AudioError, match=r"e\.wav cannot be written: waveform has dtype complex128"):
        write_audio(tmp_path / "e.wav", SOUND.astype(np.complex128), 16_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav", "d.wav"]


def test_a_vocoder_hears_int16(tmp_path: Any) -> None:
    vocoder = load(tiny.export(tmp_path / "voice", tiny.config()))
    np.testing.assert_array_equal(vocoder.mel(PCM), vocoder.mel(SOUND))
    with pytest.raises(ValueError, match="divided by 32768"):
        vocoder.mel(PCM.astype(np.float32))
