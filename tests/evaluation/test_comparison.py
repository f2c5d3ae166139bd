"""Planted cheats are flagged, intervals are paired, and what is missing says so."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from tests.evaluation.sounds import RATE, later, voice
from wavejax.audio.specs import get_spec
from wavejax.evaluation.anchors import CODINGS, low_pass, recode
from wavejax.evaluation.comparison import Comparison, System, compare
from wavejax.evaluation.measures import METRICS, Column, Item, Measure, Scorer
from wavejax.evaluation.report import Exhibit, markdown, write_report
from wavejax.extras import MissingExtra

ITEMS = [Item(id=f"item/{i}", waveform=voice(i, 1.2 + 0.1 * i, 150.0 + 20 * i), transcript="ah <b>") for i in range(3)]
SIGNAL = [METRICS[name] for name in ("level", "lag", "spectrum", "frames")]


def system(name: str, make=lambda waveform: waveform, **options) -> System:
    return System(name=name, takes=(tuple(make(item.waveform) for item in ITEMS),), **options)


def judged(*systems: System, measures: Sequence[Measure] = SIGNAL, **options) -> Comparison:
    return compare(ITEMS, systems, measures, **options)


def test_the_original_and_honest_codings_are_not_flagged() -> None:
    made = judged(system("original"), system("coded", lambda w: recode(w, CODINGS["mu-law-10"])))
    assert made.flags("original") == ()
    assert made.flags("coded") == ()
    assert made.mean("original", "log_mel") == (0.0, 0.0, 0.0)


def test_a_low_pass_is_flagged_by_the_level_above_4_khz() -> None:
    made = judged(system("dull", lambda w: low_pass(w, RATE, 4000.0)))
    assert "high_band" in made.flags("dull")
    assert made.mean("dull", "high_band").mean < -10


def test_a_shift_by_a_frame_is_flagged_by_the_lag() -> None:
    hop = get_spec("speech-16k").hop_length
    made = judged(system("late", lambda w: later(w, hop)))
    assert "lag" in made.flags("late")
    assert made.mean("late", "lag").mean == pytest.approx(1000 * hop / RATE, abs=0.5)


def test_the_best_of_eight_seeds_is_flagged_by_its_draws() -> None:
    rng = np.random.default_rng(0)
    readings = [
        [item.waveform + rng.normal(0, s, len(item.waveform)).astype(np.float32) for item in ITEMS]
        for s in np.linspace(1e-4, 1e-2, 8)
    ]
    chosen = System(name="best", takes=(tuple(readings[0]),), seeds=(0,), drawn=8, is_anchor=False)
    honest = System(name="all", takes=tuple(map(tuple, readings)), seeds=tuple(range(8)), drawn=8, is_anchor=False)
    unknown = System(name="who knows", takes=(tuple(readings[0]),), drawn=None, is_anchor=False)
    made = judged(chosen, honest, unknown)
    assert "draws" in made.flags("best")
    assert "draws" in made.flags("who knows")
    assert "draws" not in made.flags("all")
    assert (chosen.draws, honest.draws, unknown.draws) == ("1 of 8 !", "8 of 8", "1 of ? !")
    assert made.mean("best", "pauses").mean < made.mean("all", "pauses").mean


def test_louder_is_not_better_but_is_told() -> None:
    made = judged(system("loud", lambda w: w * np.float32(1.5)))
    assert made.mean("loud", "level").mean == pytest.approx(3.52, abs=0.02)
    assert made.flags("loud") == ("level",)
    assert made.mean("loud", "log_mel").mean < 0.5


def test_differences_are_paired_over_items() -> None:
    names = {"a": [1.0, 2.0, 9.0], "b": [2.0, 3.0, 10.0]}
    figures = iter([*names["a"], *names["b"]])
    column = Column(name="x", title="x", better="higher", bar=0.0)
    made = judged(
        system("a"),
        system("b", is_anchor=False),
        measures=[Measure(name="x", columns=(column,), open=lambda items: lambda candidate: (next(figures),))],
    )
    assert made.difference("b", "a", "x") == (1.0, 1.0, 1.0)
    assert made.mean("a", "x").mean == 4.0


def test_speech_that_keeps_no_time_has_no_aligned_figures() -> None:
    made = judged(system("slow", lambda w: np.repeat(w, 2)))
    assert made.mean("slow", "log_mel") is None
    assert made.mean("slow", "spectrum") is not None


def _absent(items: Sequence[Item]) -> Scorer:
    raise MissingExtra("the judge X needs the package x: pip install x")


def test_a_missing_judge_says_so_and_stops_only_who_asked_for_it() -> None:
    absent = Measure(name="x", columns=(Column(name="x", title="x", better="higher", bar=1.0),), open=_absent)
    made = judged(system("original"), measures=[*SIGNAL, absent])
    assert made.unused == {"x": "the judge X needs the package x: pip install x"}
    assert "not judged: x: the judge X needs" in markdown(made)
    with pytest.raises(MissingExtra, match="the judge X"):
        judged(system("original"), measures=[absent], required=["x"])


def test_items_and_systems_must_fit() -> None:
    with pytest.raises(ValueError, match="one for each of 3 items"):
        judged(System(name="short", takes=((ITEMS[0].waveform,),)))
    with pytest.raises(ValueError, match="two systems have one name"):
        judged(system("a"), system("a"))
    with pytest.raises(ValueError, match="nothing to judge"):
        compare([], [], SIGNAL)


def test_the_report_stands_alone(tmp_path) -> None:
    made = judged(system("original"), system("late", lambda w: later(w, 200), is_anchor=False, seeds=(4,)))
    page = write_report(tmp_path / "report", made, title="A <title>", facts={"seeds": "4 & all"}, notes="bits\n1.0")
    text = page.read_text()
    assert "http" not in text
    assert "A &lt;title&gt;" in text
    assert "ah &lt;b&gt;" in text
    assert text.count("<audio") == 6
    for source in text.split('src="audio/')[1:]:
        assert (page.parent / "audio" / source.partition('"')[0]).is_file()
    content = json.loads((page.parent / "report.json").read_text())
    assert content["systems"]["late"]["flags"] == ["lag"]
    assert content["differences"]["late"]["original"]["lag"]["mean"] == pytest.approx(12.5, abs=0.5)
    assert "| lag (ms)" in (page.parent / "report.md").read_text()


def test_a_page_says_what_was_heard_and_plays_other_sounds(tmp_path) -> None:
    made = judged(system("original"))
    captions = {("original", 0, 1): "heard: a < b"}
    page = write_report(
        tmp_path, made, title="t", facts={}, captions=captions, exhibits=[Exhibit("Said", "said.wav", ("one & two",))]
    ).read_text()
    assert page.count("heard: a &lt; b") == 1
    assert page.index('src="said.wav"') > page.index("one &amp; two") > page.index("<h3>Said</h3>")
    assert page.count("<audio") == 4
