"""Copy-synthesis judged beside anchors: a voice resynthesises held-out recordings, and judges score the result."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wavejax.audio.companding import SampleCoding
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.files import AUDIO_SUFFIXES, read_audio
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.resampling import resample
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus
from wavejax.data.corpus import Utterance
from wavejax.data.sources import METADATA_NAME
from wavejax.data.tables import RecordingNames, read_metadata
from wavejax.data.texts import NOT_TEXT, composed, is_text, shown
from wavejax.documents import read_json
from wavejax.evaluation.anchors import ANCHORS, DEFAULT_ANCHORS, make_anchor, recode
from wavejax.evaluation.comparison import Comparison, System, compare
from wavejax.evaluation.judges import JUDGES, word_error
from wavejax.evaluation.measures import JUDGED_RATE, METRICS, Item, Measure
from wavejax.evaluation.selection import ListeningError, Selection
from wavejax.extras import MissingExtra

DRAWS_FILE = "draws.json"
"""A file beside a candidate's recordings that says how they were made: {"seeds": [7], "drawn": 8}. Absent: unknown."""

Say = Callable[[str], None]
Speak = Callable[[Utterance, float, int], Float[np.ndarray, "_"]]
"""(utterance, temperature, seed) -> waveform."""


def items_of(selection: Selection, corpus: Corpus) -> list[Item]:
    """The references of the judgement: the selection's recordings at `JUDGED_RATE`."""
    rate, speakers = corpus.sample_rate, corpus.speakers
    return [
        Item(
            id=each.id,
            waveform=_judged(each.waveform, rate),
            transcript=each.transcript,
            speaker=speakers[each.speaker],
        )
        for each in selection.utterances
    ]


def anchor_systems(
    waveforms: Sequence[Float[np.ndarray, "_"]], spec: FeatureSpec, names: Sequence[str], say: Say
) -> tuple[list[System], dict[str, str]]:
    """(anchors of the recordings, which are at `spec.sample_rate`; anchor whose package is missing -> reason).

    Raises ListeningError on a name that is not in `ANCHORS`.
    """
    systems, missing = [], {}
    for name in names:
        if name not in ANCHORS:
            raise ListeningError(f"there is no anchor {name!r}; choose from {', '.join(ANCHORS)}")
        say(f"making the anchor {name}")
        try:
            made = [make_anchor(name, each, spec, log_mel_numpy(each, spec)) for each in waveforms]
        except MissingExtra as error:
            missing[name] = str(error)
            continue
        systems.append(System(name=name, takes=(tuple(_judged(each, spec.sample_rate) for each in made),)))
    return systems, missing


def spoken_systems(
    name: str,
    utterances: Sequence[Utterance],
    speak: Speak,
    rate: int,
    *,
    temperatures: Sequence[float],
    num_seeds: int,
    say: Say,
) -> list[System]:
    """A voice's takes: one system per temperature and one take per seed 0, 1, ..., num_seeds - 1, without selection.

    Args:
        name: name of the systems, to which the temperature is added.
        utterances: the utterances that the voice resynthesises.
        speak: (utterance, temperature, seed) -> waveform at `rate`; another seed gives another take.
        rate: Hz.
        temperatures, num_seeds: see above.
        say: called with a line about progress.
    """
    systems = []
    for temperature in temperatures:
        takes = []
        for seed in range(num_seeds):
            say(f"speaking {len(utterances)} utterances at temperature {temperature:g}, seed {seed}")
            take = [speak(each, temperature, seed) for each in utterances]
            takes.append([_judged(each, rate) for each in take])
        systems.append(System.of_seeds(f"{name} T={temperature:g}", takes))
    return systems


def ceiling_system(utterances: Sequence[Utterance], coding: SampleCoding, rate: int) -> System:
    """The recordings encoded and decoded by a sample coding: the best that a model with that coding can reach."""
    takes = tuple(_judged(recode(each.waveform, coding), rate) for each in utterances)
    return System(name="ceiling", takes=(takes,))


def read_folders(
    reference: str | Path, candidates: Sequence[str | Path], say: Say = lambda said: None
) -> tuple[list[Item], list[System]]:
    """Recordings of any vocoder and the originals, paired by file name without suffix (compared in NFC).

    A metadata.csv in the reference folder (id|transcript) gives transcripts. `DRAWS_FILE` in a candidate's folder says
    how many takes were made; without it the report says that this is unknown. `say` reports files without a partner.

    Raises:
        ListeningError: an empty folder, two files with one name, or an original without its counterpart (missing takes
            would be a selection). SourceError: a metadata.csv that cannot be read.
    """
    originals = _recordings(Path(reference))
    transcripts = _transcripts(Path(reference), originals, say)
    items = [
        Item(id=name, waveform=read_audio(path, JUDGED_RATE)[0], transcript=transcripts.get(name, ""))
        for name, path in originals.items()
    ]
    systems = []
    for folder in map(Path, candidates):
        readings = _recordings(folder)
        absent = [name for name in originals if name not in readings]
        if absent:
            raise ListeningError(
                f"{folder} lacks {len(absent)} of {len(originals)} recordings of {reference}, first {absent[0]!r}: "
                "files are paired by name without suffix; a system is judged on all of them"
            )
        extra = [name for name in readings if name not in originals]
        if extra:
            say(f"{folder} has {len(extra)} recordings that {reference} has not, first {extra[0]!r}: not judged")
        take = tuple(read_audio(readings[name], JUDGED_RATE)[0] for name in originals)
        seeds, drawn = _draws(folder)
        systems.append(System(name=folder.name, takes=(take,), seeds=seeds, drawn=drawn, is_anchor=False))
    return items, systems


def _recordings(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ListeningError(f"{folder} is not a folder of recordings")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in AUDIO_SUFFIXES or path.name.startswith("."):
            continue
        if not is_text(path.name):
            raise ListeningError(f"{shown(path)} has a name that is {NOT_TEXT}; rename it")
        other = found.setdefault(composed(path.stem), path)
        if other != path:
            raise ListeningError(
                f"{other} and {path} have one name: files are paired by name without suffix; keep one of them"
            )
    if not found:
        raise ListeningError(f"{folder} holds no recording ({', '.join(AUDIO_SUFFIXES)})")
    return found


def _transcripts(folder: Path, originals: Mapping[str, Path], say: Say) -> Mapping[str, str]:
    path = folder / METADATA_NAME
    if not path.exists():
        return {}
    names = RecordingNames(folder, originals.items())
    found: dict[str, str] = {}
    absent = []
    for row in read_metadata(path):
        meant = names.find(row.id)
        if meant is None:
            absent.append(row.id)
        else:
            found.setdefault(composed(meant.path.stem), row.transcript)
    if absent:
        say(f"{path} has {len(absent)} transcripts of recordings that are not there, first {absent[0]!r}")
    return found


def _draws(folder: Path) -> tuple[tuple[int, ...], int | None]:
    path = folder / DRAWS_FILE
    if not path.is_file():
        return (), None
    try:
        content = read_json(path)
        return tuple(int(seed) for seed in content.get("seeds", ())), int(content["drawn"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ListeningError(f'{path} is damaged ({error!r}): expected {{"seeds": [0], "drawn": 1}}') from None


def judge_voice(
    corpus: Corpus,
    selection: Selection,
    spec: FeatureSpec,
    systems: Callable[[], Sequence[System]],
    *,
    judges: Sequence[str] | None = None,
    anchors: Sequence[str] = DEFAULT_ANCHORS,
    say: Say = lambda said: None,
) -> Comparison:
    """Judges a voice's takes of the selection beside anchors of the same recordings.

    Args:
        corpus: the corpus of the selection, at the voice's sample rate.
        selection: the result of `select`.
        spec: the features that the voice reads; anchors made from features use them too.
        systems: makes the takes (`spoken_systems`); called after the names below have been checked.
        judges: names from `JUDGES`, all of which must be installed; None: every installed judge.
        anchors: names from `ANCHORS`.
        say: called with a line about progress.

    Raises:
        ListeningError: an unknown name; MissingExtra: a requested judge is not installed.
    """
    chosen = _measures(judges, [entry.transcript for entry in corpus.entries])
    items = items_of(selection, corpus)
    made, missing = anchor_systems([each.waveform for each in selection.utterances], spec, anchors, say)
    return _compare(items, [*made, *systems()], chosen, missing, judges is not None, say)


def judge_folders(
    reference: str | Path,
    candidates: Sequence[str | Path],
    *,
    judges: Sequence[str] | None = None,
    anchors: Sequence[str] = DEFAULT_ANCHORS,
    say: Say = lambda said: None,
) -> Comparison:
    """Judges recordings of any vocoder beside anchors of the originals; see `judge_voice` and `read_folders`.

    Griffin-Lim uses the features of speech-16k. Raises ListeningError, AudioError, MissingExtra.
    """
    items, spoken = read_folders(reference, candidates, say)
    chosen = _measures(judges, [item.transcript for item in items])
    systems, missing = anchor_systems([item.waveform for item in items], get_spec("speech-16k"), anchors, say)
    return _compare(items, [*systems, *spoken], chosen, missing, judges is not None, say)


def _compare(
    items: Sequence[Item],
    systems: Sequence[System],
    measures: Sequence[Measure],
    missing: Mapping[str, str],
    strict: bool,
    say: Say,
) -> Comparison:
    made = compare(
        items, systems, measures, required={m.name for m in measures} - METRICS.keys() if strict else (), say=say
    )
    return dataclasses.replace(made, unused={**missing, **made.unused})


def _measures(judges: Sequence[str] | None, domain: Sequence[str]) -> list[Measure]:
    """All metrics, and the judges with these names (None: all judges)."""
    unknown = [name for name in judges or () if name not in JUDGES]
    if unknown:
        raise ListeningError(f"there is no judge {unknown[0]!r}; choose from {', '.join(JUDGES)}")
    names = JUDGES if judges is None else judges
    return [*METRICS.values(), *(word_error(domain) if name == "words" else JUDGES[name] for name in names)]


def named_judges(given: Sequence[str]) -> tuple[str, ...] | None:
    """The judges that a user names: ("installed",) gives None, i.e. all that are installed; ("none",) gives none."""
    if tuple(given) == ("installed",):
        return None
    return () if tuple(given) == ("none",) else tuple(given)


def _judged(waveform: np.ndarray, rate: int) -> Float[np.ndarray, "_"]:
    samples = np.asarray(waveform, np.float32)
    return samples if rate == JUDGED_RATE else resample(samples, rate, JUDGED_RATE)
