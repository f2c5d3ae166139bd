"""How Russian text is read aloud: words, spans, stress and phones."""

import contextlib
import hashlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavejax.text import Pause, Reading, TextError, Word, get_text_spec, read_russian
from wavejax.text.russian.sounds import PHONES
from wavejax.text.russian.stress import STRESS_FILE, Stress, StressDictionary, packed, russian_stress, unpacked

_CONTENT = "fb0caa2110797717771ef7623b1da67ad442e7cb11d15c5bf6a1a811bb712b12"


def _phones(text: str) -> str:
    return " | ".join(" ".join(word.phones) for word in read_russian(text).words)


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("молоко", "m ay l a k oo"),
        ("вода, город", "v a d aa | g oo r ay t"),
        ("пять минут", "pp aa tt | mm i n uu t"),
        ("ёлка и лес", "j oo l k ay | i | ll ee s"),
        ("съешь", "s j ee sh"),
        ("его сегодня", "j e v oo | ss i v oo d nn a"),
        ("что? Конечно!", "sh t oo | k a nn ee sh n a"),
        ("счастье", "sch aa s tt j e"),
        ("сдать отбор", "z d aa tt | a d b oo r"),
        ("дуб и дуб", "d uu p | i | d uu p"),
        ("в доме и в саду", "v | d oo mm ae | i | f | s aa d u"),
        ("мужчина", "m u sh ch ii n a"),
    ],
)
def test_phones(text: str, phones: str) -> None:
    assert _phones(text) == phones


def test_stress_may_be_marked() -> None:
    assert _phones("з+амок") == _phones("за\u0301мок") == "z aa m ay k"
    assert _phones("зам+ок") == _phones("замо\u0301к") == "z a m oo k"
    assert read_russian("зам+ок").words[0].source == "given"
    assert read_russian("замок").words[0].source == "lexicon"
    assert read_russian("хоббитами").words[0].source == "guess"


def test_words_and_spans() -> None:
    reading = read_russian("Ей 21 год, т. е. 50% от 3,5 - и всё.\n\nКто-то ждал?")
    written = [(word.text, reading.text[slice(*word.span)]) for word in reading.words]
    assert written == [
        ("ей", "Ей"),
        ("двадцать", "21"),
        ("один", "21"),
        ("год", "год"),
        ("то", "т. е."),
        ("есть", "т. е."),
        ("пятьдесят", "50"),
        ("процентов", "%"),
        ("от", "от"),
        *((word, "3,5") for word in ("три", "запятая", "пять")),
        ("и", "и"),
        ("всё", "всё"),
        ("кто-то", "Кто-то"),
        ("ждал", "ждал"),
    ]
    first, second = reading.sentences
    assert [part.symbol for part in first.parts if isinstance(part, Pause)] == [",", ",", "."]
    assert (first.ends_paragraph, second.ends_paragraph) == (True, True)
    assert second.parts[-1] == Pause(symbol="?", span=(49, 50))


def test_a_model_has_symbols_for_all_of_it() -> None:
    spec = get_text_spec("phonemes-ru")
    assert spec.num_classes == 1 + 1 + 4 + 50
    assert len(PHONES) == 50
    for sentence in read_russian("Съешь ещё этих мягких французских булок, да выпей чаю!").sentences:
        assert spec.decode(spec.encode_symbols(sentence.symbols)).endswith("ch aa j u !")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Это hello", r"'h' \(latin small letter h\) at 4 of 'Это hello' cannot be read as Russian"),
        ("1-й день", "not known how '1-й' at 0 is read: write it out in words"),
        ("а" * 500, "is a word of 500 letters; words have at most 200"),
        ("ще і", "cyrillic small letter byelorussian-ukrainian i"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(TextError, match=said):
        read_russian(text)


def _sound(reading: Reading) -> None:
    last = 0
    for sentence in reading.sentences:
        assert isinstance(sentence.parts[-1], Pause)
        for part in sentence.parts:
            assert last <= part.span[0] <= part.span[1] <= len(reading.text)
            last = part.span[0]
            if isinstance(part, Word):
                assert part.phones
                assert set(part.phones) <= set(PHONES)


_PIECES = (
    "вода ",
    "+о",
    "о\u0301",
    "е\u0308",
    "и\u0306",
    "ь",
    "ъ",
    "-",
    "'",
    "7",
    "1 000",
    "3,5",
    "%",
    ".",
    "?!",
    "\n\n",
    " ",
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(_PIECES), st.text("абвгдеёийтьъя+- .,\n", max_size=6)), max_size=10).map("".join)
)
def test_any_text(text: str) -> None:
    try:
        reading = read_russian(text)
    except TextError:
        return
    _sound(reading)


@pytest.mark.parametrize("unit", ["1", "1 000 ", "а-", "+а", "а'", ".", ",", "-", "\n", " \n", "\u0301", "т. ", "ага "])
def test_time_grows_with_the_length(unit: str) -> None:
    def seconds(count: int) -> float:
        began = time.process_time()
        with contextlib.suppress(TextError):
            _sound(read_russian(unit * count))
        return time.process_time() - began

    seconds(10)
    # Four times the length takes four times as long; sixteen times if it were quadratic. Below 20 ms is noise.
    assert any(seconds(800) < 10 * max(seconds(200), 0.02) for _ in range(3))


def test_the_dictionary() -> None:
    dictionary = russian_stress()
    assert len(dictionary) == 181_003
    assert dictionary["вода"] == Stress(2)
    assert dictionary["без"].leans
    assert dictionary["артем"].is_yo
    assert dictionary["бутявками"] == Stress(2, is_known=False), "as булавками"
    assert dictionary["ткх"] == Stress(0, is_known=False)
    entries = {"б": Stress(0), "а": Stress(1, True, True)}
    content = packed(entries)
    assert packed(dict(reversed(entries.items()))) == content
    again = StressDictionary(unpacked(content))
    assert {word: again[word] for word in ("а", "б")} == entries
    with pytest.raises(
        TextError, match=r"stress dictionary in the package is damaged .* scripts/fetch_lexicon russian"
    ):
        unpacked(content[:-4])


def test_the_file_is_small_and_the_same() -> None:
    assert STRESS_FILE.stat().st_size < 450_000
    content = "\n".join(f"{word} {code}" for word, code in unpacked(STRESS_FILE.read_bytes()).items())
    assert hashlib.sha256(content.encode()).hexdigest() == _CONTENT
    assert "Nickolay V. Shmyrev" in (STRESS_FILE.parent / "LICENSE-festvox-ru.txt").read_text()
