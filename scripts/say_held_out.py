#!/usr/bin/env python3
"""Let a speaker say the texts of held-out recordings, write both, and count words that stock pocketsphinx gets wrong.

    python scripts/say_held_out.py allison-tts CORPUS out/
    wavejax evaluate --reference out/recordings --candidate out/said --judges distillmos p808 speaker

CORPUS is a folder made by `wavejax prepare`. Recordings below a second are left out. Needs the extra `judges`.
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
from wavejax.tasks.speaker.product import Speaker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speaker", help="a speaker that ships, or a folder")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path, help="the folder to write: recordings/ and said/")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
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
        print(f"{kind}: {100 * words_wrong(texts, waveforms):.1f} % of the words of {len(texts)} texts wrong")


def words_wrong(texts: Sequence[str], waveforms: Sequence[np.ndarray]) -> float:
    """The share of words that stock pocketsphinx gets wrong in waveforms [T] at 16 kHz."""
    decoder, wrong, total = stock_decoder("the word error"), 0, 0
    for text, waveform in zip(texts, waveforms, strict=True):
        said = spoken_words(text)
        wrong += edit_distance(said, heard_words(decoder, np.asarray(waveform, np.float32)))
        total += len(said)
    return wrong / total


if __name__ == "__main__":
    main()
