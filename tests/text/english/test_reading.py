"""How English text is read aloud: the golden sentences, spans, sentences and pauses."""

import csv
from pathlib import Path

import pytest

from wavejax.text import Pause, Reading, TextError, Word, get_text_spec, read_english, sentences_of

with open(Path(__file__).with_name("golden.tsv"), encoding="utf-8", newline="") as _file:
    GOLDEN = [(text, spoken) for text, spoken in csv.reader(_file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def _written(reading: Reading) -> list[tuple[str, str]]:
    """Each word with the characters that it comes from."""
    return [(word.text, reading.text[slice(*word.span)]) for word in reading.words]


def test_the_golden_table_is_whole() -> None:
    assert len(GOLDEN) == 250
    assert len({text for text, _ in GOLDEN}) == 250


@pytest.mark.parametrize(("text", "spoken"), GOLDEN)
def test_golden(text: str, spoken: str) -> None:
    reading = read_english(text)
    assert reading.spoken == spoken
    spec = get_text_spec("phonemes-en")
    for sentence in reading.sentences:
        assert len(spec.encode_symbols(sentence.symbols)) == len(sentence.owners)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("at 8:30 PM EST.", "at eight thirty p m e s t"),
        ("1/2 tsp. salt, 2 1/2 km", "one half teaspoon salt two and a half kilometers"),
        ("Act V, Scene ii", "act five scene two"),
        ("Take Hwy 101", "take highway one hundred one"),
        ("Mon-Fri 9am-5pm", "monday to friday nine a m to five p m"),
        ("Dr. and Mrs. Smith", "doctor and missus smith"),
        ("1984's best, the 49ers", "nineteen eighty four's best the forty niners"),
        ("E. coli and T. rex", "e coli and t rex"),
        ("1 000 000 or 12,345", "one million or twelve thousand three hundred forty five"),
        ("Austin, TX 78701", "austin t x seven eight seven oh one"),
        ("A $5 million deal of WWII", "a five million dollar deal of world war two"),
        ("He's 5ft 11in", "he's five feet eleven inches"),
        ("A 10-km run, a 6-year-old", "a ten kilometer run a six year old"),
        ("1/3 + 5/16 = ?", "one third plus five sixteenths equals"),
        ("Take pi = 3.14.", "take pi equals three point one four"),
        ("Sent to a+b@c.co, or c:d", "sent to a plus b at c dot c o or c d"),
        ("the ½ and 3⅝ inch", "the one half and three and five eighths inch"),
        ("٣ and ５", "three and five"),
    ],
)
def test_more_sentences(text: str, spoken: str) -> None:
    assert read_english(text).spoken == spoken


def test_spans() -> None:
    assert _written(read_english("She paid $45.50 on Jan. 5th.")) == [
        ("she", "She"),
        ("paid", "paid"),
        *((word, "$45.50") for word in ("forty", "five", "dollars", "and", "fifty", "cents")),
        ("on", "on"),
        ("january", "Jan. 5th"),
        ("fifth", "Jan. 5th"),
    ]
    assert _written(read_english("“Naïve cafe\u0301s” – 👍 ½ off…")) == [
        ("naive", "Naïve"),
        ("cafes", "cafe\u0301s"),
        ("one", "½"),
        ("half", "½"),
        ("off", "off"),
    ]


def test_symbols_name_their_parts() -> None:
    (sentence,) = read_english("Hi, the end?").sentences
    assert sentence.symbols == ("HH", "AY1", ",", "DH", "IY0", " ", "EH1", "N", "D", "?")
    assert sentence.owners == (0, 0, 1, 2, 2, None, 3, 3, 3, 4)
    assert [type(part) for part in sentence.parts] == [Word, Pause, Word, Word, Pause]
    assert sentence.parts[1] == Pause(symbol=",", span=(2, 3))
    assert (sentence.text, sentence.span) == ("hi the end", (0, 12))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith paid $45.50. He left.", ["doctor smith paid forty five dollars and fifty cents", "he left"]),
        ("Use fruit, e.g. apples. It is 3.14 now.", ["use fruit for example apples", "it is three point one four now"]),
        ("We left the U.S. The rest stayed.", ["we left the u s", "the rest stayed"]),
        ("It is 5 p.m. The bus left at 4 p.m. sharp.", ["it is five p m", "the bus left at four p m sharp"]),
        ("He said “Stop!” and left. “Why?” she asked.", ["he said stop and left", "why she asked"]),
        ("Really?! Yes... No.", ["really", "yes", "no"]),
        ("Well... maybe not", ["well maybe not"]),
        ("A title\n\nA first line\nthat goes on", ["a title", "a first line that goes on"]),
        ("I like plan B. It works.", ["i like plan b", "it works"]),
        ("See J. Smith. Ask him.", ["see j smith", "ask him"]),
        ("Fruit, bread, etc. Then we left.", ["fruit bread et cetera", "then we left"]),
        (
            "Mr. Jones Jr. came. (He was late.) Then it rained.",
            ["mister jones junior came", "he was late", "then it rained"],
        ),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [sentence.text for sentence in read_english(text).sentences] == sentences


def test_pauses() -> None:
    def marks(text: str) -> str:
        return "".join(part.symbol for s in read_english(text).sentences for part in s.parts if isinstance(part, Pause))

    assert marks("One, two; three: four — five (six) seven") == ",,,,,,."
    assert marks("Really?! Wow!! Oh") == "?!."
    assert marks("well-known, re-entered") == ",."
    assert marks("- one\n- two,") == ",."
    assert marks("He left the U.S.") == "."


def test_paragraphs() -> None:
    ends = [sentence.ends_paragraph for sentence in read_english("One. Two.\n\nThree.\n\n").sentences]
    assert ends == [False, True, True]
    assert [sentence.ends_paragraph for sentence in read_english("One\n\nTwo").sentences] == [True, True]


def test_sentences_come_one_by_one() -> None:
    text = "One is 1. Two is 2!\n\nThree?"
    assert tuple(sentences_of(text)) == read_english(text).sentences
    first = next(iter(sentences_of("Good start. " + "x" * 500)))
    assert first.text == "good start", "what comes later is read later"


def test_what_is_not_spoken_is_noted() -> None:
    assert read_english("Hi 😀!").notes == ("'😀' (grinning face) at 3 is not spoken",)
    assert read_english("Hi!").notes == ()


def test_nothing_is_spoken() -> None:
    for text in ("", "   \n\n ", "...", "-- ()", "\x00\u200b", "*** ___"):
        assert read_english(text).sentences == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Привет", r"'П' \(cyrillic capital letter pe\) at 0 of 'Привет' cannot be read as English"),
        (
            "We say 你好 here",
            r"'你' \(cjk unified ideograph-4f60\) at 7 .* say how it sounds, as in \[Anna\]\(AE1 N AH0\)",
        ),
        ("שלום", "hebrew letter shin"),
        ("λόγος", "greek small letter"),
    ],
)
def test_another_script_is_named_with_its_place_and_the_remedy(text: str, said: str) -> None:
    with pytest.raises(TextError, match=said):
        read_english(text)


def test_a_single_greek_letter_is_named() -> None:
    assert read_english("The angle α is 5 µm").spoken == "the angle alpha is five micrometers"


def test_a_long_sentence_is_cut_at_a_comma() -> None:
    text = "red, blue and " * 300
    lengths = [len(sentence.words) for sentence in read_english(text).sentences]
    assert sum(lengths) == 900
    assert max(lengths) <= 400
    assert all(s.words[-1].text == "red" for s in read_english(text).sentences[:-1])
