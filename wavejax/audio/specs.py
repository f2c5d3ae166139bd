"""The feature specs by name: our own and those of public projects, each with the file that it reproduces."""

import dataclasses

from wavejax.audio.feature_spec import FeatureSpec

__all__ = ["SPECS", "FeatureSpec", "get_spec"]

# Ours, for all speech models: 80 Hz frame rate, whole frames only, frame f is centred in its own 200 samples.
_SPEECH_16K = FeatureSpec(
    name="speech-16k", sample_rate=16000, n_fft=1024, win_length=800, hop_length=200, padding="same", f_max=8000.0
)
# NVIDIA/tacotron2 stft.py and layers.py; WaveGlow, FastPitch and others read the same features.
_TACOTRON2 = FeatureSpec(
    name="tacotron2", sample_rate=22050, n_fft=1024, win_length=1024, hop_length=256, padding="centre", f_max=8000.0
)
# jik876/hifi-gan meldataset.py: exactly T // 256 frames, and a magnitude that is never 0.
_HIFI_GAN = dataclasses.replace(_TACOTRON2, name="hifi-gan", padding="same", magnitude_epsilon=1e-9)
# r9y9/wavenet_vocoder at commit 2092a64 (the published LJSpeech checkpoints), audio.py. Matched: the mel bands, the
# level map (20 log10, less 20 dB, -100 .. 0 dB to 0 .. 1) and the STFT of the `lws` package: n_fft - hop zeros on each
# side, square-root Hann window of unit overlap. Its symmetric window centres frame f on sample
# 256 f - 256.5. NOT part of the features: r9y9 trains on audio that is itself preceded by n_fft - hop = 768 zeros and
# repeats frame f over samples 256 f .. of the padded audio, so its frames condition samples 256 f - 768 .. 256 f - 513
# of the waveform: 384 samples before their centres. A converted checkpoint needs the same alignment.
_R9Y9_OLD = FeatureSpec(
    name="r9y9-old",
    sample_rate=22050,
    n_fft=1024,
    win_length=1024,
    hop_length=256,
    padding="full",
    pad_mode="zero",
    window="sqrt_hann",
    f_min=125.0,
    f_max=7600.0,
    log_base="db20",
    floor=1e-5,
    scale=0.01,
    offset=0.8,
    clip=(0.0, 1.0),
)
# r9y9/wavenet_vocoder HEAD, audio.py and egs/*/conf: a 70 Hz high-pass on the audio, then log10. The original filter
# delays audio and features alike by 127 samples; here the delay is removed. For its per-corpus statistics use
# `with_statistics`.
_R9Y9_NEW = dataclasses.replace(
    _R9Y9_OLD,
    name="r9y9-new",
    window="hann",
    padding="centre",
    pad_mode="reflect",
    log_base="10",
    floor=1e-10,
    scale=1.0,
    offset=0.0,
    clip=None,
    high_pass=70.0,
)
# fatchord/WaveRNN utils/dsp.py; torchaudio's WaveRNN uses the same features except for the compression of its input.
_FATCHORD = FeatureSpec(
    name="fatchord",
    sample_rate=22050,
    n_fft=2048,
    win_length=1100,
    hop_length=275,
    padding="centre",
    f_min=40.0,
    log_base="db20",
    floor=1e-5,
    scale=0.01,
    offset=1.0,
    clip=(0.0, 1.0),
)
# kan-bayashi/ParallelWaveGAN bin/preprocess.py (LJSpeech recipes) before its per-corpus statistics: `with_statistics`.
_PARALLEL_WAVEGAN = dataclasses.replace(_R9Y9_NEW, name="parallel-wavegan", f_min=80.0, high_pass=0.0)
_PARALLEL_WAVEGAN_24K = dataclasses.replace(
    _PARALLEL_WAVEGAN, name="parallel-wavegan-24k", sample_rate=24000, n_fft=2048, win_length=1200, hop_length=300
)
# NVIDIA/nv-wavenet pytorch/config.json: the Tacotron 2 features at 16 kHz with 50 ms windows.
_NV_WAVENET = dataclasses.replace(
    _TACOTRON2, name="nv-wavenet", sample_rate=16000, n_fft=800, win_length=800, hop_length=200
)
# charactr/vocos-mel-24khz: torchaudio's mel spectrogram (HTK bands, peaks of 1), magnitudes, ln of at least 1e-7.
_VOCOS_24K = FeatureSpec(
    name="vocos-24k",
    sample_rate=24000,
    n_fft=1024,
    win_length=1024,
    hop_length=256,
    padding="centre",
    n_mels=100,
    mel_scale="htk",
    mel_norm="none",
    floor=1e-7,
)

SPECS: dict[str, FeatureSpec] = {
    spec.name: spec
    for spec in (
        _SPEECH_16K,
        _TACOTRON2,
        _HIFI_GAN,
        _R9Y9_OLD,
        _R9Y9_NEW,
        _FATCHORD,
        _PARALLEL_WAVEGAN,
        _PARALLEL_WAVEGAN_24K,
        _NV_WAVENET,
        _VOCOS_24K,
    )
}


def get_spec(name: str) -> FeatureSpec:
    """The spec of that name from `SPECS`. Raises ValueError, which lists the names."""
    if name not in SPECS:
        raise ValueError(f"no feature spec is called {name!r}; known are {', '.join(sorted(SPECS))}.")
    return SPECS[name]
