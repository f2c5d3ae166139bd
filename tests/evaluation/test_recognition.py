"""Error rates, what they consist of, and the page."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from wavejax.evaluation.boundaries import Boundaries
from wavejax.evaluation.edits import Edits, edits, pairs, rate
from wavejax.evaluation.latency import PrintedWord, latency
from wavejax.evaluation.recognition import Reading, RecognitionReport
from wavejax.evaluation.words import edit_distance


@pytest.mark.parametrize(
    ("said", "read", "expected"),
    [
        ("abcd", "abcd", (0, 0, 0, 4)),
        ("abcd", "abxd", (1, 0, 0, 4)),
        ("abcd", "abd", (0, 1, 0, 4)),
        ("abcd", "abccd", (0, 0, 1, 4)),
        ("", "ab", (0, 0, 2, 0)),
        ("ab", "", (0, 2, 0, 2)),
    ],
)
def test_changes_are_told_apart(said: str, read: str, expected: tuple[int, ...]) -> None:
    assert edits(said, read) == Edits(*expected)


def test_they_are_as_few_as_can_be() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        said, read = ("".join(rng.choice(list("abc"), rng.integers(0, 9))) for _ in range(2))
        found = edits(said, read)
        assert found.errors == edit_distance(said, read)
        assert found.length + found.insertions - found.deletions == len(read)


def test_a_rate_counts_letters_and_not_recordings() -> None:
    found = rate([Edits(1, 0, 0, 1), Edits(0, 0, 1, 9)])
    assert found.interval.mean == pytest.approx(0.2)
    assert found.total == Edits(1, 0, 1, 10)
    assert found.interval.low < 0.2 < found.interval.high
    assert str(found).endswith("of 10: 1 substitutions, 0 deletions, 1 insertions")
    assert rate([Edits(1, 1, 0, 4)]).interval == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="nothing is said in these recordings"):
        rate([Edits(0, 0, 1, 0)])


def report(read: tuple[str, ...] = ("good morning", "how are you", "it is late")) -> RecognitionReport:
    said = ("good morning", "how are you", "it is late")
    readings = tuple(
        Reading(id=f"r{n}", said=a, read=b, waveform=np.zeros(1600, np.float32), sample_rate=16000)
        for n, (a, b) in enumerate(zip(said, read, strict=True))
    )
    silence = {"silence": "", "faint noise": "oh"}
    return RecognitionReport(readings=readings, silence=silence, seconds=0.1, facts={"system": "mine", "corpus": "c"})


def test_the_control_tells_reading_from_guessing() -> None:
    perfect = report()
    assert perfect.letters.interval.mean == 0
    letters, words = perfect.shuffled or pytest.fail("there are several recordings")
    assert words.interval.mean >= 1
    assert letters.interval.mean > 0.6
    same = report(("good morning",) * 3)
    assert same.shuffled is not None
    assert same.words.interval.mean == pytest.approx(same.shuffled[1].interval.mean), "what always says the same"


def test_lines_and_page(tmp_path: Path) -> None:
    found = report(("good morning", "how <are> you", "it is"))
    lines = "\n".join(found.lines())
    assert "letter error    21.2 % [" in lines
    assert "word error      25.0 % [" in lines
    assert "in silence      nothing, as it should be" in lines
    assert "in faint noise  'oh'" in lines
    assert "speed           3.0 times real time" in lines
    page = found.write(tmp_path)
    assert page == tmp_path / "index.html"
    text = page.read_text()
    assert "how &lt;are&gt; you" in text
    assert text.index("r2:") < text.index("r1:") < text.index("r0:"), "the worst first"
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["words"]["deletions"] == 1
    assert (tmp_path / "audio" / "r0.wav").exists()
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(FileExistsError, match="wavejax has not written it"):
        found.write(tmp_path)


def test_what_was_mistaken_is_counted() -> None:
    found = report(("good warning", "how are you", "it is lat"))
    assert found.confusions == [("e", "", 1), ("m", "w", 1), ("o", "a", 1)]
    assert pairs("ab", "b") == [("a", None), ("b", "b")]


def test_phonemes_are_counted_without_pauses_and_conditions_beside_them(tmp_path: Path) -> None:
    def reading(read: str) -> Reading:
        sound = np.zeros(1600, np.float32)
        return Reading(id="r", said="d aa | n ee t", read=read, waveform=sound, sample_rate=16000, phonemic=True)

    assert reading("d aa n ee t").letters == Edits(0, 0, 0, 5)
    assert reading("d a | n t").letters == Edits(1, 1, 0, 5)
    assert reading("d aa n ee t").words.errors == 2
    worse = {"noise-10": (reading(""),)}
    one = RecognitionReport(
        readings=(reading("d a | n ee t"),),
        silence={},
        seconds=1,
        conditions=worse,
        boundaries=Boundaries(0.01, 0.9, 5),
    )
    lines = "\n".join(one.lines())
    assert "phone error     20.0 %" in lines
    assert "noise-10        phones 100.0 %" in lines
    assert "boundaries      median 10 ms off, 90.0 % within 50 ms (5)" in lines
    assert "word" not in lines
    page = one.write(tmp_path)
    assert "<tr><td>aa</td><td>a</td><td>1</td></tr>" in page.read_text()
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["conditions"]["noise-10"]["letters"]["mean"] == 1
    assert content["boundaries"]["borders"] == 5


def test_what_others_read_stands_beside_it(tmp_path: Path) -> None:
    own = report(("good warning", "how are you", "it is late"))
    worse = report(("", "", "")).readings
    other = report(("good morning", "how are <you>", "it is late")).readings
    found = dataclasses.replace(
        own,
        conditions={"noise-10": worse, "another voice: x": worse[:1]},
        others={"beam 16, lm.arpa": {"": other, "noise-10": other}, "pocketsphinx": {"": worse}},
        latency=latency([(PrintedWord("good", 0.7, 0.9), 0.5)], "the model's own alignment"),
    )
    rows = [line.strip() for line in found.lines()]
    first = next(place for place, row in enumerate(rows) if row.startswith("beam 16, lm.arpa"))
    assert rows[first - 1].startswith("word error")
    assert "letters 6.1 % [0.0, " in rows[first]
    assert ", words 12.5 % [0.0, " in rows[first]
    assert rows[first + 1].startswith("pocketsphinx")
    assert "letters 100.0 % [100.0, 100.0], words 100.0 % [100.0, 100.0]" in rows[first + 1]
    assert [row.split("  ")[0] for row in rows[first + 2 : first + 5]] == [
        "noise-10",
        "beam 16, lm.arpa",
        "another voice: x",
    ]
    assert any(row.startswith("latency") and "word shown: median 200 ms" in row for row in rows)
    content = json.loads(json.dumps(found.to_json()))
    assert content["others"]["pocketsphinx"]["recordings"]["words"]["mean"] == 1
    assert content["others"]["beam 16, lm.arpa"]["noise-10"]["letters"]["length"] == 33
    assert content["latency"]["shown_ms"] == pytest.approx([200, 200])
    page = found.write(tmp_path)
    assert page is not None
    assert "beam 16, lm.arpa: how are &lt;you&gt;" in page.read_text()
    assert "pocketsphinx: (nothing)" in page.read_text()
