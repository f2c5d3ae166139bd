"""Does a model of several speakers, given an id and nothing else, sound like that speaker?

The model babbles from silence: for every seed, every id on the same noise. Clips are kept as files, so that a run that
was stopped goes on, and each can be made again by `wavejax generate MODEL FILE --speaker NAME --seed SEED`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float

from wavejax.atomic import write_json
from wavejax.audio.files import read_audio, write_audio
from wavejax.audio.resampling import resample
from wavejax.data import Corpus
from wavejax.documents import read_json
from wavejax.evaluation.babble_report import BabbleReport
from wavejax.evaluation.measures import JUDGED_RATE
from wavejax.evaluation.names import file_names
from wavejax.evaluation.speakers import Embed, Identification, centroids, cosines, shaped_noise, sounding_seconds, swap
from wavejax.experiments.autoregressive.product import parameter_digest
from wavejax.experiments.autoregressive.speakers import named_corpus_for, speakers_of
from wavejax.experiments.metadata import ExperimentError, metadata
from wavejax.limits import shown
from wavejax.ranges import COUNT, TEMPERATURE, Range, check_ranges
from wavejax.tasks.babbler.product import Babbler

RECORD = "babble.json"
HELD_OUT = ("validation", "test")

Say = Callable[[str], None]
Clip = tuple[str, Float[np.ndarray, "_"]]
"""Path relative to the report's folder, waveform at `JUDGED_RATE`."""


class BabbleError(ExperimentError):
    """Babble that cannot be made or judged this way; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class BabbleOptions:
    """How much is made, and how."""

    num_seeds: Annotated[int, Range(1, 1000)] = 20
    """Seeds 0, 1, ...: each is heard under every id."""
    seconds: Annotated[float, Range(1, 600)] = 5.0
    """Of every clip: babble, recordings and noise are equally long."""
    temperature: Annotated[float, TEMPERATURE] = 1.0
    centroid_clips: Annotated[int, COUNT] = 20
    """Clips of each speaker's training recordings that make up the centroid."""

    def __post_init__(self) -> None:
        check_ranges(self)


def make_babble(babbler: Babbler, folder: str | Path, options: BabbleOptions, say: Say) -> list[Clip]:
    """Clips of seed 0 under every id, then of seed 1, ...; those that are in the folder already are not made again.

    The files are FOLDER/babble/SPEAKER/SEED.wav, at the model's rate, SPEAKER being its name made safe (`file_names`).

    Raises BabbleError: a folder with babble of another model, temperature or length.
    """
    names, root = speakers_of(babbler), Path(folder)
    folders = file_names(names)
    _claim(root / RECORD, _record(babbler, options))
    rate = babbler.sample_rate
    clips: list[Clip] = []
    for seed in range(options.num_seeds):
        paths = [f"babble/{folders[name]}/{seed}.wav" for name in names]
        if not all((root / path).is_file() for path in paths):
            say(f"babbling: seed {seed}, the last of {options.num_seeds} is {options.num_seeds - 1}")
            made = babbler.generate(
                num_samples=round(options.seconds * rate),
                seed=seed,
                stream_ids=np.zeros(len(names), np.int32),
                global_conditioning=np.arange(len(names), dtype=np.int32),
                temperature=options.temperature,
            )
            for path, waveform in zip(paths, made, strict=True):
                write_audio(root / path, waveform, rate)
        clips += [(path, read_audio(root / path, JUDGED_RATE)[0]) for path in paths]
    return clips


def _record(babbler: Babbler, options: BabbleOptions) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps(metadata(babbler.config, babbler.labels), sort_keys=True).encode())
    parameter_digest(babbler, digest.update)
    return {"model": digest.hexdigest()[:16], "temperature": options.temperature, "seconds": options.seconds}


def _claim(path: Path, wanted: dict[str, Any]) -> None:
    """Write down whose babble the folder holds, or refuse where it is another's."""
    try:
        written = read_json(path) if path.exists() else None
        if not isinstance(written, dict | None):
            raise ValueError(f"it says {shown(written)}")
    except (ValueError, OSError) as error:
        raise BabbleError(f"{path} is damaged ({error}): remove its folder, or choose another") from None
    if written is None:
        write_json(path, wanted)
    elif written != wanted:
        differing = [
            f"{key} was {written.get(key)}, now {value}" for key, value in wanted.items() if written.get(key) != value
        ]
        raise BabbleError(
            f"{path.parent} holds other babble ({'; '.join(differing)}): choose another folder, or remove this one"
        )


def recorded_clips(
    corpus: Corpus, splits: Sequence[str], speaker: str, seconds: float, at_most: int
) -> list[Float[np.ndarray, "_"]]:
    """Up to `at_most` clips of so many seconds of a speaker's recordings, laid end to end in a fixed shuffled order.

    float32 at `JUDGED_RATE`. Fewer where the recordings do not last; what is left over is dropped.
    """
    number, rate = corpus.speaker_index(speaker), corpus.sample_rate
    positions = [
        position for position, entry in enumerate(corpus.entries) if entry.speaker == number and entry.split in splits
    ]
    length, wanted = round(seconds * JUDGED_RATE), at_most * seconds
    sounds, held = [np.zeros(0, np.float32)], 0.0
    for index in np.random.default_rng(0).permutation(len(positions)):
        if held > wanted:
            break
        waveform = corpus.utterance(positions[index]).waveform
        sounds.append(waveform if rate == JUDGED_RATE else resample(waveform, rate, JUDGED_RATE))
        held += len(waveform) / rate
    sound = np.concatenate(sounds)
    return [sound[start : start + length] for start in range(0, len(sound) - length + 1, length)][:at_most]


def judge_babble(
    babbler: Babbler, corpus: Corpus, folder: str | Path, options: BabbleOptions, embed: Embed, say: Say
) -> tuple[BabbleReport, dict[str, list[Clip]]]:
    """Make the babble of every speaker and see whose voice it is; the report, and the clips of each kind.

    Centroids are of `centroid_clips` clips of each speaker's training recordings. Beside the babble stand clips of
    recordings that were held out (validation and test together, at most `num_seeds` a speaker, fewer where they do not
    last), and as many of noise with the speaker's long-term spectrum. Those are written to FOLDER/real and
    FOLDER/noise.

    Raises:
        BabbleError: a model that cannot babble, or a speaker without a whole clip in training.
        ExperimentError: a corpus of other speakers.
    """
    names = speakers_of(babbler)
    corpus = named_corpus_for(babbler, corpus)
    trained = [_training_clips(babbler, corpus, name, options) for name in names]
    made = {
        "babble": make_babble(babbler, folder, options, say),
        **_controls(corpus, Path(folder), names, trained, options),
    }
    whose = {kind: np.asarray([names.index(path.split("/")[1]) for path, _ in each]) for kind, each in made.items()}
    say("listening: the speakers' own recordings")
    centres = centroids([np.stack([embed(clip) for clip in clips]) for clips in trained])
    found, sounding = {}, {}
    for kind, clips in made.items():
        pairs = zip(clips, whose[kind], strict=True)
        lasts = [sounding_seconds([sound], trained[int(speaker)], JUDGED_RATE)[0] for (_, sound), speaker in pairs]
        sounding[kind] = np.asarray(lasts)
        say(f"listening: {len(clips)} clips of {kind}")
        vectors = [np.zeros(centres.shape[1]), *(embed(sound) for _, sound in clips)]  # there may be no real ones
        found[kind] = Identification(
            intended=whose[kind].astype(np.int64),
            cosines=cosines(np.stack(vectors), centres)[1:],
            groups=np.arange(len(clips)) // (len(names) if kind == "babble" else 1),
        )
    report = BabbleReport(
        speakers=names,
        found=found,
        sounding=sounding,
        swap=swap(found["babble"].cosines.reshape(options.num_seeds, len(names), len(names))),
        facts=_facts(babbler, options, [len(clips) for clips in trained]),
    )
    return report, made


def _training_clips(babbler: Babbler, corpus: Corpus, name: str, options: BabbleOptions) -> list[np.ndarray]:
    known = name in corpus.speakers
    clips = recorded_clips(corpus, ("train",), name, options.seconds, options.centroid_clips) if known else []
    if not clips:
        raise BabbleError(
            f"the corpus holds no {options.seconds:g} s of {name} in training: give the corpus that "
            f"{babbler.config.name} was trained on, or ask for shorter clips"
        )
    return clips


def _controls(
    corpus: Corpus, folder: Path, names: Sequence[str], trained: Sequence[list[np.ndarray]], options: BabbleOptions
) -> dict[str, list[Clip]]:
    """Held-out recordings, and noise in the spectrum of each speaker's training recordings, written to the folder."""
    length, seeds = round(options.seconds * JUDGED_RATE), range(options.num_seeds)
    sounds: dict[str, list[list[np.ndarray]]] = {"real": [], "noise": []}
    folders = file_names(names)
    for number, name in enumerate(names):
        sounds["real"].append(recorded_clips(corpus, HELD_OUT, name, options.seconds, options.num_seeds))
        sounds["noise"].append([shaped_noise(trained[number], length, 1000 * number + seed) for seed in seeds])
    return {
        kind: [
            _written(folder, f"{kind}/{folders[name]}/{index}.wav", sound)
            for name, clips in zip(names, each, strict=True)
            for index, sound in enumerate(clips)
        ]
        for kind, each in sounds.items()
    }


def _written(folder: Path, path: str, sound: np.ndarray) -> Clip:
    write_audio(folder / path, sound, JUDGED_RATE)
    return path, sound


def _facts(babbler: Babbler, options: BabbleOptions, counts: list[int]) -> dict[str, str]:
    step = "" if babbler.step is None else f", step {babbler.step}"
    return {
        "model": f"{babbler.config.name}{step}",
        "from": babbler.source,
        "babble": f"seeds 0 to {options.num_seeds - 1}, all scored, {options.seconds:g} s each, from silence, "
        f"temperature {options.temperature:g}",
        "centroids": f"{'/'.join(map(str, counts))} clips of training recordings, laid end to end and cut to "
        f"{options.seconds:g} s",
        "real": "the same of held-out recordings (validation and test)",
        "noise": "Gaussian, with the long-term spectrum of the centroid's clips",
        "intervals": "95 %, bootstrap over seeds: the clips of one noise are drawn together",
    }
