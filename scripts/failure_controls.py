"""Does a listener notice words that are missing, said twice, or cut off at the end? A control of `say --check`.

    python scripts/failure_controls.py heart                         # pocketsphinx listens
    python scripts/failure_controls.py heart --listener listener-en

The speaker says the plain sentences that ship with wavejax. In each, the longest word of four or more phonemes is cut
out of the sound or repeated, or all from the last word but one is cut off; then the listener's failures are counted.
"""

import numpy as np
import tyro

from wavejax.evaluation.sentences import english_sentences
from wavejax.evaluation.spoken_words import hard_failures, listening, stock_listening
from wavejax.tasks.families import load
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.speaker.checking import words_of
from wavejax.tasks.speaker.product import Speaker, Speech

FEWEST_PHONEMES = 4


def damaged(speech: Speech) -> dict[str, tuple[str, np.ndarray]]:
    """Kind of damage -> (the failure that it is, the waveform [T])."""
    sound, rate = speech.waveform, speech.sample_rate
    longest = max(speech.words[:-1], key=lambda word: len(word.symbols))
    if len(longest.symbols) < FEWEST_PHONEMES or len(speech.words) < 4:
        return {}
    first, last = round(longest.start * rate), round(longest.end * rate)
    end = round(speech.words[-2].start * rate)
    return {
        "cut out": ("skipped", np.concatenate([sound[:first], sound[last:]])),
        "said twice": ("repeated", np.concatenate([sound[:last], sound[first:]])),
        "cut off": ("no end", sound[:end]),
    }


def main(speaker: tyro.conf.Positional[str], listener: str | None = None, at_most: int = 12) -> None:
    """Print how many of each damage are reported.

    Args:
        speaker: a speaker of English that ships, or a folder.
        listener: a recogniser of English; without it pocketsphinx listens.
        at_most: sentences that are said.
    """
    voice = load(speaker, kind=Speaker)
    listen = stock_listening() if listener is None else listening(load(listener, kind=Recognizer))
    spoken = [voice.say(each.text) for each in english_sentences("plain")[:at_most]]
    whole = [hard_failures(words_of(speech), listen(speech.waveform, speech.sample_rate)) for speech in spoken]
    words = sum(len(speech.words) for speech in spoken)
    print(f"undamaged: {sum(each.num_words for found in whole for each in found)} of {words} words reported")
    found: dict[str, list[tuple[bool, bool]]] = {}
    for speech in spoken:
        for damage, (kind, sound) in damaged(speech).items():
            kinds = [each.kind for each in hard_failures(words_of(speech), listen(sound, speech.sample_rate))]
            found.setdefault(damage, []).append((bool(kinds), kind in kinds))
    for damage, told in found.items():
        named = sum(right for _, right in told)
        print(f"{damage}: {sum(any_ for any_, _ in told)} of {len(told)} reported, {named} by their right name")


if __name__ == "__main__":
    tyro.cli(main)
