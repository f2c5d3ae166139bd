"""Third-party judges. Each is optional, has its weights in its package and downloads nothing.

docs/evaluation.md describes the strengths and weaknesses of each.
"""

import contextlib
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.evaluation.measures import JUDGED_RATE, Candidate, Column, Item, Measure, Scorer
from wavejax.evaluation.speakers import Embed
from wavejax.evaluation.words import bigram_arpa, edit_distance, spoken_words
from wavejax.extras import MissingExtra, require_extra

NAN = float("nan")


def _open_distillmos(items: Sequence[Item]) -> Scorer:
    """Stahl and Gamper 2025: a small network distilled from a large one that was trained on listeners' opinions."""
    torch = require_extra("torch", "judges", "the judge DistillMOS")
    # Only the package's own command uses torchaudio (to read files), which often does not match the installed torch.
    with _quiet(), _stub("torchaudio"):
        model = require_extra("distillmos", "judges", "the judge DistillMOS").ConvTransformerSQAModel().eval()

    def score(candidate: Candidate) -> tuple[float, ...]:
        with torch.inference_mode(), _one_thread(torch):
            return (float(model(torch.from_numpy(candidate.waveform.copy())[None])),)

    return score


def _open_dnsmos(items: Sequence[Item]) -> Scorer:
    """Reddy et al. 2021: ITU-T P.808 opinion scores of windows of 9.01 s every second; short recordings are repeated.

    The package's own front end also computes OVRL, which prefers a 4 kHz low-pass to the original and takes 100 times
    as long; we use only its mel spectrogram and weights.
    """
    onnxruntime = require_extra("onnxruntime", "judges", "the judge DNSMOS P.808")
    with _quiet():
        package = require_extra("speechmos.dnsmos", "judges", "the judge DNSMOS P.808")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # idle threads that spin cost more than they gain
    weights = Path(str(package.__file__)).parent / "dnsmos_models" / "model_v8.onnx"
    session = onnxruntime.InferenceSession(str(weights), options)
    window = int(9.01 * JUDGED_RATE)

    def score(candidate: Candidate) -> tuple[float, ...]:
        sound = np.tile(candidate.waveform, -(-window // len(candidate.waveform)))
        opinions = []
        for start in range(0, len(sound) - window + 1, JUDGED_RATE):
            mel = package.DNSMOS.audio_melspec(None, sound[start : start + window - 160])  # it does not use `self`
            opinions.append(session.run(None, {"input_1": mel.astype(np.float32)[None]})[0].item())
        return (float(np.mean(opinions)),)

    return score


def _open_estoi(items: Sequence[Item]) -> Scorer:
    """Jensen and Taal 2016."""
    stoi = require_extra("pystoi", "judges", "the judge ESTOI").stoi

    def score(candidate: Candidate) -> tuple[float, ...]:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            value = float(stoi(items[candidate.item].waveform, candidate.waveform, JUDGED_RATE, extended=True))
        # It warns, and returns 1e-5, if less than 0.4 s of speech remains without the pauses.
        return (NAN if said else value,)

    return score


def _open_pesq(items: Sequence[Item]) -> Scorer:
    """ITU-T P.862.2, wide band."""
    package = require_extra("pesq", "judges", "the judge PESQ")

    def score(candidate: Candidate) -> tuple[float, ...]:
        try:
            return (float(package.pesq(JUDGED_RATE, items[candidate.item].waveform, candidate.waveform, "wb")),)
        except package.PesqError:  # it detects no speech
            return (NAN,)

    return score


def _open_phonemes(items: Sequence[Item]) -> Scorer:
    """Phoneme errors relative to the recogniser's output for the original: no transcript needed, any voice."""
    recognise = require_extra("hama", "judges", "the phoneme error").ASRModel()
    originals = [recognise(item.waveform, JUDGED_RATE).phonemes for item in items]

    def score(candidate: Candidate) -> tuple[float, ...]:
        expected = originals[candidate.item]
        heard = recognise(candidate.waveform, JUDGED_RATE).phonemes
        return (edit_distance(expected, heard) / len(expected) if expected else NAN,)

    return score


def word_error(domain: Sequence[str] = ()) -> Measure:
    """The measure of word errors in English, with a language model of the transcripts in `domain`.

    Sentences of the domain that equal a judged item are left out: the recogniser knows the vocabulary but not the
    answers. Without a domain it uses its own general English model, which misses more words.
    """

    def open_words(items: Sequence[Item]) -> Scorer:
        package = require_extra("pocketsphinx", "judges", "the word error")
        expected = [spoken_words(item.transcript) for item in items]
        if not any(expected):
            raise JudgeUnusable("the word error needs transcripts, and these recordings have none")
        decoder = _decoder(package, domain, expected)

        def score(candidate: Candidate) -> tuple[float, ...]:
            words, heard = expected[candidate.item], heard_words(decoder, candidate.waveform)
            return (edit_distance(words, heard) / len(words) if words else NAN,)

        return score

    column = Column(name="words", title="word error", better="lower", bar=0.25)
    return Measure(name="words", columns=(column,), open=open_words, aligned=False)


def stock_decoder(purpose: str) -> Any:
    """pocketsphinx with its own English model. Raises MissingExtra; `purpose` is the subject of its message."""
    return require_extra("pocketsphinx", "judges", purpose).Decoder(samprate=JUDGED_RATE, loglevel="FATAL")


def heard_words(decoder: Any, waveform: Float[np.ndarray, " time"]) -> list[str]:
    """What a pocketsphinx decoder hears in a waveform float [T] at `JUDGED_RATE`."""
    samples = np.clip(np.round(waveform * 32767.0), -32768, 32767).astype("<i2")
    decoder.reinit_feat()  # forget the previous recording's mean, so that no figure depends on the order
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    return list(decoder.hyp().hypstr.split()) if decoder.hyp() else []


def _decoder(package: ModuleType, domain: Sequence[str], judged: Sequence[Sequence[str]]) -> Any:
    if not domain:
        return package.Decoder(samprate=JUDGED_RATE, loglevel="FATAL")
    held_out = {tuple(words) for words in judged}
    sentences = [words for words in map(spoken_words, domain) if tuple(words) not in held_out]
    if not sentences:
        raise JudgeUnusable(
            f"the word error needs a language model of other texts, and all {len(domain)} transcripts are judged: "
            "judge only some of the recordings"
        )
    dictionary = Path(package.get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8")
    vocabulary = {line.split(maxsplit=1)[0] for line in dictionary.splitlines() if line}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "domain.lm"
        also = sorted({word for words in judged for word in words})
        path.write_text(bigram_arpa(sentences, vocabulary, also), encoding="utf-8")
        return package.Decoder(samprate=JUDGED_RATE, lm=str(path), loglevel="FATAL")


def open_speaker_embedding(purpose: str = "the speaker cosine") -> Embed:
    """The speaker embedding of Wan et al. 2018 (resemblyzer): a unit vector that depends on the voice, not the words.

    Pauses are cut and the level is normalised first. Raises MissingExtra; `purpose` is the subject of its message.
    """
    with _quiet():
        try:
            package = require_extra("resemblyzer", "judges", purpose)
        except ImportError as error:
            raise MissingExtra(
                f"{purpose} needs the package {error.name}: pip install --no-deps resemblyzer "
                "webrtcvad-wheels, beside 'wavejax-audio[judges]' (what it asks for itself cannot be installed)",
                name=error.name,
            ) from error
        encoder = package.VoiceEncoder("cpu", verbose=False)

    torch = require_extra("torch", "judges", purpose)

    def embed(waveform: Float[np.ndarray, "_"]) -> Float[np.ndarray, "_"]:
        with _quiet(), _one_thread(torch):
            sound = package.preprocess_wav(waveform.astype(np.float32))
            return np.asarray(encoder.embed_utterance(sound if len(sound) else waveform), np.float64)

    return embed


def _open_speaker(items: Sequence[Item]) -> Scorer:
    """Cosine to the centroid of the speaker's OTHER recordings: the same voice with other words."""
    embed = open_speaker_embedding()
    voices = [embed(item.waveform) for item in items]

    def score(candidate: Candidate) -> tuple[float, ...]:
        speaker = items[candidate.item].speaker
        others = [
            voice for index, voice in enumerate(voices) if index != candidate.item and items[index].speaker == speaker
        ]
        if not others:
            return (NAN,)
        centroid, heard = np.mean(others, axis=0), embed(candidate.waveform)
        return (float(centroid @ heard / (np.linalg.norm(centroid) * np.linalg.norm(heard))),)

    return score


class JudgeUnusable(ValueError):
    """A judge is installed but cannot judge these recordings; the message says why."""


def _judge(
    name: str, title: str, bar: float, open: Callable[[Sequence[Item]], Scorer], *, aligned: bool = False
) -> Measure:
    lower = name == "phonemes"
    column = Column(name=name, title=title, better="lower" if lower else "higher", bar=bar)
    return Measure(name=name, columns=(column,), open=open, aligned=aligned)


JUDGES: dict[str, Measure] = {
    judge.name: judge
    for judge in (
        _judge("distillmos", "DistillMOS", 3.5, _open_distillmos),
        _judge("p808", "DNSMOS P.808", 3.4, _open_dnsmos),
        _judge("pesq", "PESQ-wb", 2.0, _open_pesq, aligned=True),
        _judge("estoi", "ESTOI", 0.9, _open_estoi, aligned=True),
        _judge("phonemes", "phoneme error", 0.05, _open_phonemes),
        word_error(),
        _judge("speaker", "speaker cosine", 0.86, _open_speaker),
    )
}
"""Name -> judge; `word_error(domain)` replaces "words" if text of the domain is available."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences standard output and warnings: judges announce their weights and use deprecated functions."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _one_thread(torch: ModuleType) -> Iterator[None]:
    """Limits torch to one thread: with more, models this small wait for the threads and take 3 to 20 times longer."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _stub(name: str) -> Iterator[None]:
    """Provides an empty module of this name while another package is imported, unless the real one is loaded."""
    placed = sys.modules.setdefault(name, stand_in := ModuleType(name))
    try:
        yield
    finally:
        if placed is stand_in:
            del sys.modules[name]
