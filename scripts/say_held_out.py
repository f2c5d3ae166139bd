#!/usr/bin/env python3
"""Let a speaker say the texts of held-out recordings, write both, and count what a recogniser gets wrong in each.

    python scripts/say_held_out.py allison-tts CORPUS out/
    wavejax evaluate --reference out/recordings --candidate out/said --judges distillmos p808 speaker

CORPUS is a folder made by `wavejax prepare`. Recordings below a second are left out. Stock pocketsphinx listens to
English (extra `judges`); `--listener listener-ru` is a recogniser of wavejax, whose letters are counted, too.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wavejax.audio.files import write_audio
from wavejax.data import Corpus
from wavejax.evaluation.judges import heard_words, stock_decoder
from wavejax.evaluation.words import edit_distance, spoken_words
from wavejax.tasks.families import load
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.speaker.product import Speaker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speaker", help="a speaker that ships, or a folder")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path, help="the folder to write: recordings/ and said/")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--listener", help="a recogniser of wavejax, by its name or folder (default: pocketsphinx)")
    given = parser.parse_args()
    speaker, corpus = load(given.speaker, kind=Speaker), Corpus.open(given.corpus)
    texts, sounds = list[str](), dict[str, list[np.ndarray]]({"recordings": [], "said": []})
    for position in corpus.indices(given.split):
        entry, waveform = corpus.entries[position], corpus.utterance(position).waveform
        if not entry.transcript or len(waveform) < speaker.sample_rate:
            continue
        texts.append(entry.transcript)
        for kind, sound in (("recordings", waveform), ("said", speaker.say(entry.transcript).waveform)):
            sounds[kind].append(sound)
            (given.out / kind).mkdir(parents=True, exist_ok=True)
            write_audio(given.out / kind / f"{entry.id}.wav", sound, speaker.sample_rate)
    if not texts:
        raise SystemExit(f"{given.corpus} has no recording of a second or more with a transcript in {given.split}")
    for kind, waveforms in sounds.items():
        wrong = words_wrong(texts, waveforms) if given.listener is None else heard_by(given.listener, texts, waveforms)
        print(f"{kind}: of {len(texts)} texts {wrong} wrong")


def words_wrong(texts: Sequence[str], waveforms: Sequence[np.ndarray]) -> str:
    """The share of words that stock pocketsphinx gets wrong in waveforms [T] at 16 kHz."""
    decoder = stock_decoder("the word error")
    heard = [heard_words(decoder, np.asarray(waveform, np.float32)) for waveform in waveforms]
    return f"{share_wrong([spoken_words(text) for text in texts], heard):.1f} % of the words"


def heard_by(listener: str, texts: Sequence[str], waveforms: Sequence[np.ndarray]) -> str:
    """The shares of letters and words that a recogniser gets wrong, without a language model."""
    recognizer = load(listener, kind=Recognizer)
    said = [recognizer.text.normalize(text) for text in texts]
    heard = [recognizer.transcribe_greedily(waveform).text for waveform in waveforms]
    words = share_wrong([text.split() for text in said], [text.split() for text in heard])
    return f"{share_wrong(said, heard):.1f} % of the letters, {words:.1f} % of the words"


def share_wrong(said: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]) -> float:
    """In percent of what is said."""
    wrong = sum(edit_distance(one, other) for one, other in zip(said, heard, strict=True))
    return 100 * wrong / sum(map(len, said))


if __name__ == "__main__":
    main()
