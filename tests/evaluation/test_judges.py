"""Judges: those that are installed rank real speech as people do; those that are not say what to install."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.evaluation.sounds import later
from wavejax.audio.specs import get_spec
from wavejax.data import embedded_corpus
from wavejax.evaluation.anchors import CODINGS, low_pass, recode
from wavejax.evaluation.comparison import Comparison, System, compare
from wavejax.evaluation.judges import JUDGES, word_error
from wavejax.evaluation.measures import JUDGED_RATE, Item
from wavejax.extras import MissingExtra

SPEC = get_spec("speech-16k")


def recordings(count: int) -> list[Item]:
    chosen = [each for each in embedded_corpus(SPEC).utterances("test") if len(each.waveform) > JUDGED_RATE]
    return [Item(id=each.id, waveform=each.waveform, transcript=each.transcript) for each in chosen[:count]]


def judged(items: Sequence[Item], name: str) -> Comparison:
    noise = np.random.default_rng(0)
    changes = {
        "original": lambda w: w,
        "coded": lambda w: recode(w, CODINGS["mu-law-10"]),
        "dull": lambda w: low_pass(w, JUDGED_RATE, 4000.0),
        "late": lambda w: later(w, SPEC.hop_length),
        "noise": lambda w: noise.normal(0, 0.05, len(w)).astype(np.float32),
    }
    systems = [
        System(name=key, takes=(tuple(change(item.waveform) for item in items),)) for key, change in changes.items()
    ]
    domain = [each.transcript for each in embedded_corpus(SPEC).utterances("train")]
    measure = word_error(domain) if name == "words" else JUDGES[name]
    try:
        return compare(items, systems, [measure], required=[name])
    except MissingExtra as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_ranks_real_speech_above_noise(name: str) -> None:
    made = judged(recordings(4), name)
    values = {system.name: made.mean(system.name, name).mean for system in made.systems if made.mean(system.name, name)}
    if made.columns[0].better == "lower":
        values = {key: -value for key, value in values.items()}
    assert values["original"] > values["noise"]
    assert values["coded"] > values["noise"]
    if name == "estoi":  # the only one that hears a lag
        assert "estoi" in made.flags("late")
        assert "estoi" not in made.flags("coded")
    if name == "speaker":
        assert values["original"] > values["dull"]


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_that_is_not_installed_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    packages = {
        "torch",
        "distillmos",
        "onnxruntime",
        "speechmos",
        "pystoi",
        "pesq",
        "hama",
        "pocketsphinx",
        "resemblyzer",
    }

    def absent(module: str, package: str | None = None) -> object:
        if module.partition(".")[0] in packages:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(module, package)

    real = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", absent)
    items = [Item(id="a", waveform=np.zeros(JUDGED_RATE, np.float32), transcript="one")]
    with pytest.raises(MissingExtra, match=r"needs the package \w+: pip install .*wavejax-audio\[judges\]"):
        JUDGES[name].open(items)


def test_words_without_transcripts_are_not_judged() -> None:
    pytest.importorskip("pocketsphinx")
    items = [Item(id="a", waveform=np.zeros(JUDGED_RATE, np.float32))]
    system = System(name="original", takes=((items[0].waveform,),))
    assert "needs transcripts" in compare(items, [system], [JUDGES["words"]]).unused["words"]


def test_words_are_not_judged_where_every_text_of_the_domain_is() -> None:
    pytest.importorskip("pocketsphinx")
    items = [Item(id="a", waveform=np.zeros(JUDGED_RATE, np.float32), transcript="one two")]
    system = System(name="original", takes=((items[0].waveform,),))
    unused = compare(items, [system], [word_error(["one two", "One two."])]).unused
    assert "all 2 transcripts are judged: judge only some" in unused["words"]
