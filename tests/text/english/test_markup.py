"""`[word](phonemes)` and SSML: what they do, and what is said where they are wrong."""

import pytest

from wavejax.text import Pause, Reading, TextError, read_english
from wavejax.text.english.ipa import phonemes_of_ipa


def _words(reading: Reading) -> list[tuple[str, str, str]]:
    return [(word.text, " ".join(word.phones), reading.text[slice(*word.span)]) for word in reading.words]


def test_a_pronunciation_in_brackets() -> None:
    reading = read_english("My [Gnarfle](N AA1 R F AH0 L)'s here, [New York](N UW1 | Y AO1 R K)!")
    assert _words(reading)[1] == ("gnarfle", "N AA1 R F AH0 L", "[Gnarfle](N AA1 R F AH0 L)")
    assert _words(reading)[-2:] == [
        ("new", "N UW1", "[New York](N UW1 | Y AO1 R K)"),
        ("york", "Y AO1 R K", "[New York](N UW1 | Y AO1 R K)"),
    ]
    assert reading.words[1].source == "given"
    assert read_english("[sic] (note) [link](https://x.org)").spoken == "sic note link x dot org"


def test_a_wrong_pronunciation_is_named() -> None:
    with pytest.raises(TextError, match=r"'\[Bob\]\(B AX B\)' at 4 cannot be read: 'AX', number 2 .* is no phoneme"):
        read_english("Hey [Bob](B AX B)")
    with pytest.raises(TextError, match="If it is none, put a space between the brackets"):
        read_english("See [this](above)")


def test_ssml() -> None:
    text = (
        '<?xml version="1.0"?><speak version="1.1"><p>Call <say-as interpret-as="digits">42</say-as>'
        '<break time="500ms"/> now &amp; <phoneme alphabet="ipa" ph="həˈloʊ">ola</phoneme>.</p>'
        '<prosody rate="slow" pitch="+2st">So <prosody rate="50%">slow</prosody></prosody> end</speak>'
    )
    reading = read_english(text)
    assert reading.spoken == "call four two now and ola so slow end"
    assert [(word.rate, word.pitch) for word in reading.words[-3:]] == [(0.8, 2.0), (0.4, 2.0), (1.0, 0.0)]
    words = _words(reading)
    assert words[1] == ("four", "F AO1 R", '<say-as interpret-as="digits">42</say-as>')
    assert words[4][2] == "&amp;"
    assert words[5][1:] == ("HH AH0 L OW1", '<phoneme alphabet="ipa" ph="həˈloʊ">ola</phoneme>')
    first, second = reading.sentences
    (pause,) = (part for part in first.parts if isinstance(part, Pause) and part.seconds is not None)
    assert (pause.symbol, pause.seconds, text[slice(*pause.span)]) == (",", 0.5, '<break time="500ms"/>')
    assert first.ends_paragraph
    assert second.text == "so slow end"


@pytest.mark.parametrize(
    ("kind", "written", "spoken"),
    [
        ("characters", "ab1", "a b one"),
        ("ordinal", "3", "third"),
        ("cardinal", "1984", "one thousand nine hundred eighty four"),
        ("date", "2024-02-29", "february twenty ninth twenty twenty four"),
        ("time", "3:05", "three oh five"),
        ("fraction", "2/3", "two thirds"),
        ("telephone", "(555) 0100", "five five five zero one zero zero"),
    ],
)
def test_say_as(kind: str, written: str, spoken: str) -> None:
    assert read_english(f'<speak><say-as interpret-as="{kind}">{written}</say-as></speak>').spoken == spoken


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("<b>x</b>", "<b> at 7 of the SSML is not known; there are speak, p, s, break, say-as, phoneme, prosody"),
        (
            "<p>x",
            "the element <p> at 7 of the SSML is not closed|</speak> .* closes nothing that is open: expected </p>",
        ),
        ("x</p>", "</p> at 8 of the SSML closes nothing that is open: expected </speak>"),
        ("<break time='1h'/>", "the time '1h' of <break> at 7 must be 0 to 10 seconds, as in 500ms or 1.5s"),
        ("<break time='11s'/>", "must be 0 to 10 seconds"),
        ("<break strength='huge'/>", "has no strength 'huge'; there are none, x-weak"),
        ("<prosody rate='900%'>x</prosody>", "the rate '900%' .* must be 25% to 400%"),
        ("<prosody pitch='+99st'>x</prosody>", "the pitch '\\+99st' .* up to 24 semitones"),
        ("<prosody volume='loud'>x</prosody>", "no attribute 'volume'; it has pitch, rate"),
        ("<phoneme ph='ʀ'>x</phoneme>", "the sign 'ʀ' in the IPA 'ʀ' stands for no sound of American English"),
        ("<phoneme alphabet='sampa' ph='x'>x</phoneme>", "the alphabet 'sampa' .* is not known"),
        ("<say-as interpret-as='poem'>x</say-as>", "no interpret-as='poem'; there are cardinal, characters"),
        ("<say-as interpret-as='time'>soon</say-as>", "'soon' in <say-as> at 7 of the SSML cannot be read as time"),
        ("<say-as interpret-as='time'></say-as>", "holds no text"),
        ("a & b", "the & at 9 of the SSML begins no entity: write &amp;"),
        ("a < b", "at 9 of the SSML is no element that is read"),
        ("&evil;", "begins no entity"),
        ("<speak>x</speak>", "one <speak> holds everything else"),
        ("<p x>y</p>", "the attributes 'x' of <p> at 7 cannot be read"),
        ("<p>" * 70, "nested more than 64 deep"),
    ],
)
def test_wrong_ssml_is_refused(inside: str, said: str) -> None:
    with pytest.raises(TextError, match=said):
        read_english(f"<speak>{inside}</speak>")


def test_a_document_type_is_refused() -> None:
    with pytest.raises(TextError, match=r"outside of <speak>|no element that is read"):
        read_english('<speak><!DOCTYPE x [<!ENTITY a "b">]>hello</speak>')
    assert read_english("<!DOCTYPE x><speak>hi</speak>").spoken != "hi", "what begins otherwise is a plain text"


def test_ipa() -> None:
    assert phonemes_of_ipa("ˈtʃɝːtʃ") == ("CH", "ER1", "CH")
    assert " ".join(phonemes_of_ipa("/ˌɪntɚˈnæʃənəl/")) == "IH2 N T ER0 N AE1 SH AH0 N AH0 L"
    assert phonemes_of_ipa("kæt") == ("K", "AE1", "T")
