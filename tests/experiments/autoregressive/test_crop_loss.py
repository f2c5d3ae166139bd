"""Training sees what generation will: a crop with its real history scores as the whole recording does."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import CONFIGS, cheap_jit, inputs, make, parallel_outputs
from wavejax.audio import FeatureSpec
from wavejax.experiments.autoregressive.config import AutoregressiveConfig, CropConfig, SampleTrainingConfig
from wavejax.experiments.autoregressive.learner import crop_loss
from wavejax.tasks.babbler.product import BabblerConfig
from wavejax.tasks.vocoder.wavenet import WaveNetVocoderConfig

FRAMES = 17


def experiment(name: str) -> AutoregressiveConfig:
    """A shrunk model with features of its own hop, crops of one frame."""
    model = CONFIGS[name]
    hop = model.upsampler.hop_length if model.upsampler else 4
    centred = model.upsampler is not None and model.upsampler.frame_centre == 0
    spec = FeatureSpec(
        name="tiny",
        sample_rate=1000,
        n_fft=16,
        win_length=16,
        hop_length=hop,
        padding="centre" if centred else "same",
        n_mels=model.local_channels or 3,
    )
    if model.frame_network is not None:  # dropout draws nothing without keys; here it is not there at all
        model = dataclasses.replace(model, frame_network=dataclasses.replace(model.frame_network, dropout=0.0))
    kind = WaveNetVocoderConfig if model.frame_network is not None else BabblerConfig
    return kind(model=model, spec=spec, data=CropConfig(crop_length=hop))


def crops(config: AutoregressiveConfig, waveform: np.ndarray, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Every crop of a recording, as `training_batches` documents them."""
    hop, shape = config.spec.hop_length, config.crop_shape
    padded = np.pad(waveform, (shape.history, shape.length))
    starts = [hop * frame for frame in range(FRAMES)]
    index = [np.arange(f - shape.frames_before, f + 1 + shape.frames_after).clip(0, FRAMES - 1) for f in range(FRAMES)]
    return {
        "waveform": np.stack([padded[start : start + shape.history + shape.length] for start in starts]),
        "mask": np.stack([np.arange(start, start + shape.length) < len(waveform) for start in starts]),
        "local_conditioning": np.stack([frames[rows] for rows in index]),
        "speaker": np.full((FRAMES,), 1, np.int32),
    }


@pytest.mark.parametrize(
    "name", ["speech-16k-small", "linear-centre", "nv-wavenet", "r9y9-mol+speakers", "ibab", "r9y9-mol-2018"]
)
def test_a_crop_scores_as_the_whole_recording_does(name):
    config = experiment(name)
    model, params = make(name)
    hop = config.spec.hop_length
    rng = np.random.default_rng(4)
    waveform = rng.uniform(-0.5, 0.5, hop * FRAMES - 1).astype(np.float32)  # the last crop reaches past the end
    frames = inputs(model, 1, FRAMES)
    frames = frames.get("local_conditioning", np.zeros((1, FRAMES, config.spec.n_mels), np.float32))[0]
    loss_fn = crop_loss(config)

    def of_one(crop):
        batch = jax.tree.map(lambda leaf: leaf[None], crop)
        return loss_fn(params, {}, batch, None)[:2]

    with jax.default_matmul_precision("highest"):
        losses, weights = cheap_jit(jax.vmap(of_one))(crops(config, waveform, frames))

    conditioning = {"local_conditioning": frames[None], "global_conditioning": np.array([1], np.int32)}
    if not model.num_speakers:
        del conditioning["global_conditioning"]

    def of_all(waveform):
        values = model.coding.encode(waveform)
        outputs = parallel_outputs(model, params, values, conditioning)
        return model.distribution.log_prob(outputs, values) * jnp.float32(-1 / math.log(2))

    bits = np.pad(np.asarray(cheap_jit(of_all)(waveform[None]))[0], (0, 1))
    np.testing.assert_array_equal(weights, [hop] * (FRAMES - 1) + [hop - 1])
    np.testing.assert_allclose(losses, bits.reshape(FRAMES, hop).sum(axis=1), rtol=2e-4, atol=2e-4)
    assert np.std(losses) > 0.1


def test_a_crop_longer_than_one_frame_is_the_sum_of_its_frames():
    short = experiment("speech-16k-small")
    hop = short.spec.hop_length
    long = dataclasses.replace(short, data=CropConfig(crop_length=3 * hop), training=SampleTrainingConfig(remat=True))
    model, params = make("speech-16k-small")
    waveform = np.random.default_rng(4).uniform(-0.5, 0.5, hop * FRAMES).astype(np.float32)
    frames = inputs(model, 1, FRAMES)["local_conditioning"][0]
    one_by_one = crops(short, waveform, frames)
    start, shape = 5, long.crop_shape
    index = np.arange(start - shape.frames_before, start + 3 + shape.frames_after).clip(0, FRAMES - 1)
    together = {
        "waveform": np.pad(waveform, (shape.history, 0))[None, start * hop :][:, : shape.history + shape.length],
        "mask": np.ones((1, shape.length), bool),
        "local_conditioning": frames[None, index],
        "speaker": np.zeros((1,), np.int32),
    }
    rows = {name: value[start : start + 3] for name, value in one_by_one.items()}
    short_loss, short_weight, *_ = cheap_jit(lambda batch: crop_loss(short)(params, {}, batch, None))(rows)
    long_loss, long_weight, *_ = cheap_jit(lambda batch: crop_loss(long)(params, {}, batch, None))(together)
    assert float(short_weight) == float(long_weight) == 3 * hop
    np.testing.assert_allclose(long_loss, short_loss, rtol=1e-4)
