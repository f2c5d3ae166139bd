"""Files that commands are given: recordings, folders of them, and arrays of features."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from wavejax.atomic import write_bytes
from wavejax.audio.arrays import ArrayFileError, array_bytes, read_array
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.files import AUDIO_SUFFIXES, AudioError, read_audio
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.waveforms import is_floating
from wavejax.data.discovery import find_files

FEATURE_SUFFIXES = (".npy", ".npz")


class InputError(ValueError):
    """An input that is not there, or not what the command reads."""


class OutputError(InputError):
    """A result cannot be written where it should go: the work whose result it is need not go on."""


def list_inputs(given: Iterable[str | Path], suffixes: tuple[str, ...]) -> list[Path]:
    """The files of `given`, folders replaced by the files of these suffixes in them (recursively, sorted).

    Links to folders are followed; what in a folder cannot be read is named on standard error.

    Raises InputError: nothing given, a folder without such files, or two files of one stem, whose outputs would be one.
    """
    files: list[Path] = []
    for path in map(Path, given):
        if not path.is_dir():
            files.append(path)
            continue
        listed = find_files(path, suffixes)
        for name, reason in listed.problems:
            print(f"note: {path / name} {reason}", file=sys.stderr)
        found = list(listed.paths)
        if not found:
            raise InputError(f"the folder {path} holds no file with one of the suffixes {', '.join(suffixes)}")
        files += found
    if not files:
        raise InputError("no input: name files or folders")
    stems: dict[str, Path] = {}
    for path in files:
        other = stems.setdefault(path.stem, path)
        if other != path:
            raise InputError(f"{other} and {path} would both be written to {path.stem}: give them in separate runs")
    return files


def read_features(path: Path) -> np.ndarray:
    """The array of an .npy file, or of an .npz file that holds one (or one called `mel`).

    Raises InputError: missing, damaged, pickled, or several arrays.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist. Check the path (relative paths start at {Path.cwd()}).")
    if not path.is_file():
        raise InputError(f"{path} is a folder, a pipe or a device: name a file of features (.npy, .npz)")
    try:
        array = read_array(path)
    except ArrayFileError as error:
        raise InputError(f"{path} {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}. Check its permissions.") from None
    if not is_floating(array.dtype):
        raise InputError(f"{path} holds {array.dtype} values; features are floating point (float32 log-mel)")
    if not array.size:
        raise InputError(f"{path} holds no frames (shape {array.shape}); expected at least one")
    return array


def mel_of(path: Path, spec: FeatureSpec) -> np.ndarray:
    """Features [F, n_mels] of a recording, at the spec's rate. Raises AudioError where there is nothing to analyse."""
    waveform, _ = read_audio(path, spec.sample_rate)
    if not spec.num_frames(len(waveform)):
        raise AudioError(
            f"{path} is too short: {len(waveform)} samples at {spec.sample_rate} Hz, one frame of {spec.name} takes "
            f"{spec.hop_length}. Give a longer recording."
        )
    return log_mel_numpy(waveform, spec)


def write_features(path: Path, features: np.ndarray) -> None:
    """Writes an .npy file, whole or not at all. Raises OutputError where the system refuses."""
    try:
        write_bytes(path, array_bytes(features))
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Nothing was changed there. Choose a folder that is "
            "writable and on a disk with space left."
        ) from error


__all__ = [
    "AUDIO_SUFFIXES",
    "FEATURE_SUFFIXES",
    "InputError",
    "OutputError",
    "list_inputs",
    "mel_of",
    "read_features",
    "write_features",
]
