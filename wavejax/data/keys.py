"""Keys of music by name ("G major", "E minor"), their signatures and transposition."""

import re

_MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
_FEWEST = -7  # the signature of the first of each: seven flats
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_WRITTEN = re.compile(r"([A-Ga-g])([#b]?)[ -]?(major|maj|minor|min|m)?", re.ASCII)


def key_name(sharps: int, is_minor: bool) -> str:
    """The key with a signature of that many sharps (flats count below 0), such as "G major" for 1.

    Raises ValueError beyond seven of either.
    """
    if not -7 <= sharps <= 7:
        raise ValueError(f"a key signature has up to seven sharps or flats (7 to -7), got {sharps}")
    return f"{(_MINOR if is_minor else _MAJOR)[sharps - _FEWEST]} {'minor' if is_minor else 'major'}"


def parse_key(text: str) -> str:
    """The name of a key as people write it: "G", "Bb major", "F# minor", "Em", or "e" for E minor.

    Raises ValueError, which shows how keys are written.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match:
        letter, accidental, mode = match.groups()
        is_minor = mode in ("minor", "min", "m") or (mode is None and letter.islower())
        name = letter.upper() + accidental
        if name in (_MINOR if is_minor else _MAJOR):
            return f"{name} {'minor' if is_minor else 'major'}"
    raise ValueError(f"{text!r:.60} is no key: write G, Bb major, F# minor or Em, with at most seven sharps or flats")


def key_signature(key: str) -> tuple[int, bool]:
    """(sharps, or flats below 0; whether it is minor) of a key. Raises ValueError as `parse_key`."""
    name, mode = parse_key(key).split()
    names = _MINOR if mode == "minor" else _MAJOR
    return names.index(name) + _FEWEST, mode == "minor"


def key_tonic(key: str) -> int:
    """The pitch class of a key's tonic: 0 for C to 11 for B. Raises ValueError as `parse_key`."""
    name = parse_key(key).split()[0]
    return (_STEPS[name[0]] + {"#": 1, "b": -1, "": 0}[name[1:]]) % 12


def transposed_key(key: str, semitones: int) -> str:
    """The key moved up by a number of semitones, in the spelling of the fewest sharps or flats. Raises ValueError."""
    wanted, is_minor = (key_tonic(key) + semitones) % 12, key_signature(key)[1]
    names = [key_name(sharps, is_minor) for sharps in range(-7, 8)]
    fitting = [name for name in names if key_tonic(name) == wanted]
    return min(fitting, key=lambda name: abs(key_signature(name)[0]))


__all__ = ["key_name", "key_signature", "key_tonic", "parse_key", "transposed_key"]
