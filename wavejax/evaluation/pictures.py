"""Pictures of sound: a plot that compares recordings, and an image for training logs without a plotting package."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from wavejax.atomic import replacing
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.evaluation.spectra import mel_decibels
from wavejax.extras import require_extra

RANGE_DB = (-85.0, -5.0)
"""Range of `spectrogram_image` from dark to bright, in dB re a full-scale sine: suits speech at a usual level."""

_COLOURS = np.asarray(
    (
        *((0, 0, 6), (24, 18, 76), (84, 22, 118), (156, 42, 110)),
        *((222, 74, 72), (249, 142, 42), (250, 210, 92), (255, 252, 220)),
    ),
    np.float64,
)
"""Colours from dark to bright, evenly spaced; brightness rises monotonically, so the picture also works in grey."""


def spectrogram_image(
    waveform: Float[np.ndarray, " time"], spec: FeatureSpec, range_db: tuple[float, float] = RANGE_DB
) -> UInt8[np.ndarray, "height width 3"]:
    """Log-mel picture of a waveform [T] for TensorBoard, uint8 [H, W, 3]: time to the right, low bands at the bottom.

    One column per frame; each band is repeated so that H >= 160. The scale is absolute (`range_db`, dB re a full-scale
    sine), so pictures of different recordings are comparable and silence is dark. Raises ValueError on a waveform that
    is too short for a frame.
    """
    low, high = range_db
    share = np.clip((mel_decibels(waveform, spec) - low) / (high - low), 0.0, 1.0)
    place = np.linspace(0.0, 1.0, len(_COLOURS))
    colours = np.stack([np.interp(share, place, channel) for channel in _COLOURS.T], axis=-1)
    image = np.round(colours).astype(np.uint8).transpose(1, 0, 2)[::-1]
    return np.repeat(image, max(1, -(-160 // spec.n_mels)), axis=0)


def png_bytes(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """The bytes of a PNG file of an RGB image, to embed in a page (W3C PNG, colour type 2, no filter)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = image.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def compare_picture(
    path: str | Path,
    original: Float[np.ndarray, " time"],
    generated: Float[np.ndarray, " other_time"],
    spec: FeatureSpec,
    title: str = "",
) -> None:
    """Writes a PNG of 1200 x 900: waveform and log-mel of `original` above those of `generated`, same scales.

    Time is in seconds (the longer recording sets the width). Both waveforms share one amplitude scale, both log-mels
    one colour scale in dB, from the loudest point of both down to 80 dB below it. Mel bands are labelled in Hz. Missing
    folders are created; the file is written atomically. Raises MissingExtra without matplotlib, ValueError on a
    recording that is empty, not finite, or too short for a frame.
    """
    figure_module = require_extra("matplotlib.figure", "plot", "compare_picture")
    recordings = {"original": original, "generated": generated}
    for name, waveform in recordings.items():
        if not len(waveform) or not np.isfinite(waveform).all():
            raise ValueError(f"the {name} recording of {len(waveform)} samples is empty or not finite; nothing to show")
    mels = [mel_decibels(waveform, spec) for waveform in recordings.values()]
    loudest = max(mel.max() for mel in mels)
    peak = max(float(np.abs(waveform).max()) for waveform in recordings.values()) or 1.0
    seconds = max(map(len, recordings.values())) / spec.sample_rate

    figure = figure_module.Figure(figsize=(12, 9), dpi=100, layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, gridspec_kw={"height_ratios": (1, 2, 1, 2)})
    image = None
    for row, (name, waveform) in enumerate(recordings.items()):
        _draw_waveform(axes[2 * row], waveform, spec.sample_rate, name, 1.05 * peak)
        image = _draw_mel(axes[2 * row + 1], mels[row], spec, (loudest - 80.0, loudest))
    axes[-1].set_xlim(0.0, seconds)
    axes[-1].set_xlabel("time (s)")
    figure.colorbar(image, ax=[axes[1], axes[3]], label="mel magnitude (dB of a full-scale sine)", pad=0.01, aspect=40)
    if title:
        figure.suptitle(title, fontsize=13)
    _save(figure, Path(path))


def _draw_waveform(axis: Any, waveform: np.ndarray, sample_rate: int, name: str, limit: float) -> None:
    axis.plot(np.arange(len(waveform)) / sample_rate, waveform, linewidth=0.5, color="#1f3b73")
    axis.set_ylim(-limit, limit)
    axis.set_ylabel("amplitude")
    axis.set_title(name, loc="left", fontsize=12, fontweight="bold")
    axis.grid(alpha=0.3)


def _draw_mel(axis: Any, mel: np.ndarray, spec: FeatureSpec, limits: tuple[float, float]) -> Any:
    hop = spec.hop_length / spec.sample_rate
    # Each frame's column is centred on the same sample as the frame.
    left = spec.frame_centre / spec.sample_rate - hop / 2
    extent = (left, left + len(mel) * hop, -0.5, mel.shape[1] - 0.5)
    colors = require_extra("matplotlib.colors", "plot", "compare_picture")
    colour_map = colors.LinearSegmentedColormap.from_list("wavejax", _COLOURS / 255.0)
    image = axis.imshow(
        mel.T,
        origin="lower",
        aspect="auto",
        extent=extent,
        interpolation="nearest",
        cmap=colour_map,
        vmin=limits[0],
        vmax=limits[1],
    )
    centres = _band_centres(spec)
    marks = np.asarray([mark for mark in (250, 500, 1000, 2000, 4000, 8000) if centres[0] <= mark <= centres[-1] * 1.1])
    axis.set_yticks(np.interp(marks, centres, np.arange(len(centres))), [str(mark) for mark in marks])
    axis.set_ylabel("frequency (Hz)")
    return image


def _band_centres(spec: FeatureSpec) -> np.ndarray:
    """Centre of gravity of each mel filter in Hz; interpolated for filters that are too narrow to hold a bin."""
    frequency = np.linspace(0.0, spec.sample_rate / 2, spec.n_fft // 2 + 1)
    weight = spec.filterbank.sum(axis=0)
    known = weight > 0
    centres = (frequency @ spec.filterbank)[known] / weight[known]
    return np.interp(np.arange(spec.n_mels), np.flatnonzero(known), centres)


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, format="png")
