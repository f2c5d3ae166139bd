"""Files that commands are given: recordings, folders of them, and arrays of features."""

import io
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from wavejax.atomic import write_bytes
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.files import AUDIO_SUFFIXES, AudioError, read_audio
from wavejax.audio.host_features import log_mel_numpy
from wavejax.data.discovery import find_files

FEATURE_SUFFIXES = (".npy", ".npz")


class InputError(ValueError):
    """An input that is not there, or not what the command reads."""


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
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _floating(loaded, path)
        with loaded:
            names = loaded.files
            if len(names) == 1 or "mel" in names:
                return _floating(np.asarray(loaded["mel" if "mel" in names else names[0]]), path)
    except InputError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no sound NumPy file ({error}): write it again with numpy.save") from None
    raise InputError(f"{path} holds the arrays {', '.join(names)}: call the features `mel`, or save them alone")


def _floating(array: np.ndarray, path: Path) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{path} holds {array.dtype} values; features are floating point (float32 log-mel)")
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
    """Writes an .npy file, whole or not at all. Raises InputError where the system refuses."""
    buffer = io.BytesIO()
    np.save(buffer, features)
    try:
        write_bytes(path, buffer.getvalue())
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. Nothing was changed there. Choose a folder that is "
            "writable and on a disk with space left."
        ) from error


__all__ = [
    "AUDIO_SUFFIXES",
    "FEATURE_SUFFIXES",
    "InputError",
    "list_inputs",
    "mel_of",
    "read_features",
    "write_features",
]
