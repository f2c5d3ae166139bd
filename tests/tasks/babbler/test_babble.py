"""Babble made, kept and judged: a tiny model end to end, and models of known behaviour in its place."""

import dataclasses
import json

import numpy as np
import pytest

from tests.evaluation.sounds import PEAKS, RATE, buzz, embed
from tests.tiny import commands as tiny
from wavejax.audio.files import read_audio
from wavejax.data import Corpus, Utterance
from wavejax.evaluation.babble_report import babble_markdown, write_babble_report
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.babbler import babble
from wavejax.tasks.babbler.babble import BabbleError, BabbleOptions, judge_babble, make_babble, recorded_clips
from wavejax.tasks.babbler.product import Babbler, BabblerConfig

NAMES = ("anna", "bert", "carl")
SHORT = BabbleOptions(num_seeds=3, seconds=1.0, centroid_clips=2)


def babbler(names: tuple[str, ...] = NAMES, **changes: object) -> Babbler:
    base = tiny.unconditional()
    model = dataclasses.replace(base.model, num_speakers=3, global_channels=2)
    config = dataclasses.replace(base, model=model)
    return Babbler(config=config, params=tiny.params_of(config), labels={"speakers": list(names)}, **changes)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Of each speaker 3 s to train on and 2.4 s held out, in pieces of 0.6 s."""
    spec = babbler().config.spec
    utterances, splits = [], []
    for speaker, peak in enumerate(PEAKS):
        for k in range(9):
            sound = buzz(peak, 10 * speaker + k, 0.6)
            frames = np.zeros((len(sound) // spec.hop_length, spec.n_mels), np.float32)
            name = f"{NAMES[speaker]}/{k}"
            utterances.append(Utterance(id=name, waveform=sound, frames=frames, speaker=speaker, transcript=""))
            splits.append("train" if k < 5 else ("validation", "test")[k % 2])
    return Corpus.in_memory(spec, utterances, splits, NAMES)


def quiet(said: str) -> None:
    """Say nothing."""


def speaking(monkeypatch, voices):
    """Let the model make the buzz of voices[id], whatever it is; returns the calls."""
    calls = []

    def fake(self, *, num_samples, seed, stream_ids, global_conditioning, temperature):
        calls.append(seed)
        assert not stream_ids.any(), "every id hears the same noise"
        return np.stack([buzz(PEAKS[voices[s]], seed, num_samples / RATE) for s in global_conditioning])

    monkeypatch.setattr(Babbler, "generate", fake)
    return calls


def judged(corpus, folder):
    return judge_babble(babbler(), corpus, folder, SHORT, embed, quiet)


def test_a_model_that_speaks_as_it_is_told_is_right(corpus, tmp_path, monkeypatch):
    speaking(monkeypatch, {0: 0, 1: 1, 2: 2})
    report, clips = judged(corpus, tmp_path)
    assert report.found["babble"].is_right.all()
    assert report.swap.share.mean == 1.0
    assert report.closer_than_noise.all()
    assert [len(clips[kind]) for kind in ("babble", "real", "noise")] == [9, 6, 9], "2.4 s held out are two clips"
    assert report.found["real"].is_right.all()
    assert all((tmp_path / path).is_file() for each in clips.values() for path, _ in each)


def test_names_of_speakers_lead_to_no_other_folder(tmp_path, monkeypatch):
    speaking(monkeypatch, {0: 0, 1: 1, 2: 2})
    folder = tmp_path / "in" / "babble"
    clips = make_babble(babbler(("../../../out", "a/b", "a_b")), folder, SHORT, quiet)
    assert len({path for path, _ in clips}) == 9, "each speaker has its own files"
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.wav")}
    assert written == {f"in/babble/{path}" for path, _ in clips}


def test_ids_that_are_mixed_up_are_wrong(corpus, tmp_path, monkeypatch):
    speaking(monkeypatch, {0: 1, 1: 0, 2: 2})
    report, _ = judged(corpus, tmp_path)
    np.testing.assert_array_equal(report.found["babble"].confusion[:, :3], [[0, 3, 0], [3, 0, 0], [0, 0, 3]])
    assert report.swap.share.mean == 0.0


def test_silence_is_wrong_and_is_seen(corpus, tmp_path, monkeypatch):
    """A clip that only pauses counts as a miss; the row beside it tells misses from pauses."""

    def fake(self, *, num_samples, seed, stream_ids, global_conditioning, temperature):
        made = np.stack([buzz(PEAKS[s], seed, num_samples / RATE) for s in global_conditioning])
        made[1] *= seed > 0  # bert is silent at first
        return made

    monkeypatch.setattr(Babbler, "generate", fake)
    monkeypatch.setattr(babble, "shaped_noise", lambda recordings, length, seed: buzz(250.0, seed, length / RATE))
    report, _ = judge_babble(
        babbler(), corpus, tmp_path, SHORT, lambda sound: embed(sound) if sound.any() else np.zeros(17), quiet
    )
    np.testing.assert_array_equal(report.found["babble"].confusion[1], [0, 2, 0, 1])
    assert report.sounding["babble"].tolist()[:3] == [1.0, 0.0, 1.0]
    rows = {name: figures for name, _, figures in report._rows()}
    assert rows["nearest centroid is the intended: babble"][2].mean == pytest.approx(2 / 3)
    assert rows["babble that is right, of clips that sound for a second"][2].mean == 1.0


def test_a_model_that_does_not_listen_to_the_id_moves_nothing(corpus, tmp_path, monkeypatch):
    speaking(monkeypatch, {0: 2, 1: 2, 2: 2})
    report, _ = judged(corpus, tmp_path)
    assert report.found["babble"].mean(report.found["babble"].is_right).mean == pytest.approx(1 / 3)
    assert report.swap.share.mean == 0.0
    assert abs(report.swap.shift.mean) < 1e-12


def test_a_recogniser_that_noise_fools_is_said_to_be_fooled(corpus, tmp_path, monkeypatch):
    """The stub knows colour, so noise in a speaker's spectrum passes for her; the page must say so."""
    speaking(monkeypatch, {0: 0, 1: 1, 2: 2})
    report, _ = judged(corpus, tmp_path)
    assert report.found["noise"].is_right.mean() > 0.9
    assert "! The nearest centroid is no evidence here: noise" in babble_markdown(report)
    assert report.to_json()["warning"].startswith("The nearest centroid is no evidence here")


def test_a_tiny_model_babbles_is_judged_and_shown(corpus, tmp_path):
    model = babbler(source="export/", step=7)
    report, clips = judge_babble(model, corpus, tmp_path, SHORT, embed, quiet)
    waveform, rate = read_audio(tmp_path / "babble" / "bert" / "2.wav")
    assert (len(waveform), rate) == (RATE, RATE)
    path, heard = clips["babble"][2 * 3 + 1]
    assert path == "babble/bert/2.wav"
    np.testing.assert_array_equal(heard, waveform)
    alone = model(seed=2, speaker="bert", num_samples=RATE)
    np.testing.assert_allclose(waveform, alone, atol=1.0 / 32768), "as `wavejax generate --seed 2 --speaker bert`"
    page = write_babble_report(tmp_path, report, title="tiny", clips=clips, extra={"bits": 1}, notes="right 5 < 6")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["bits"] == 1
    assert written["swap"]["share"] == report.swap.share._asdict()
    assert len(written["clips"]["babble"]["cosines"]) == 9
    shown = page.read_text()
    assert shown.count("<audio") == 3 + 3 + 9
    assert all(f'src="{path}"' in shown for path, _ in clips["babble"])
    assert "right 5 &lt; 6" in shown
    assert "step 7" in (tmp_path / "report.md").read_text()


def test_a_run_that_was_stopped_goes_on(corpus, tmp_path, monkeypatch):
    calls = speaking(monkeypatch, {0: 0, 1: 1, 2: 2})
    first = make_babble(babbler(), tmp_path, SHORT, quiet)
    (tmp_path / "babble" / "carl" / "1.wav").unlink()
    again = make_babble(babbler(), tmp_path, dataclasses.replace(SHORT, num_seeds=4), quiet)
    assert calls == [0, 1, 2, 1, 3]
    for (path, before), (same, after) in zip(first, again, strict=False):
        assert path == same
        np.testing.assert_array_equal(before, after)


def test_babble_of_another_model_or_temperature_is_not_mixed_in(tmp_path, monkeypatch):
    speaking(monkeypatch, {0: 0, 1: 1, 2: 2})
    make_babble(babbler(), tmp_path, SHORT, quiet)
    with pytest.raises(
        BabbleError, match=r"holds other babble \(temperature was 1.0, now 0.5\): choose another folder"
    ):
        make_babble(babbler(), tmp_path, dataclasses.replace(SHORT, temperature=0.5), quiet)
    other = dataclasses.replace(babbler(), params=tiny.params_of(babbler().config, seed=1))
    with pytest.raises(BabbleError, match=r"holds other babble \(model was \w{16}, now \w{16}\)"):
        make_babble(other, tmp_path, SHORT, quiet)
    (tmp_path / "babble.json").write_text("{")
    with pytest.raises(BabbleError, match=r"babble.json is damaged .*: remove its folder"):
        make_babble(babbler(), tmp_path, SHORT, quiet)


def test_clips_are_whole_and_of_the_speaker_and_split_alone(corpus):
    held_out = recorded_clips(corpus, ("validation", "test"), "bert", 0.6, 10)
    assert len(held_out) == 4
    own = {each.waveform.tobytes() for each in corpus.utterances("validation") if each.speaker == 1}
    own |= {each.waveform.tobytes() for each in corpus.utterances("test") if each.speaker == 1}
    assert {clip.tobytes() for clip in held_out} == own
    assert [len(clip) for clip in recorded_clips(corpus, ("train",), "bert", 1.0, 2)] == [RATE, RATE]
    assert len(recorded_clips(corpus, ("train",), "bert", 1.0, 99)) == 3
    assert recorded_clips(corpus, ("train",), "bert", 9.0, 2) == []


def test_what_cannot_babble_is_refused(corpus, tmp_path):
    featured = tiny.config(num_speakers=3, global_channels=2)
    with pytest.raises(ValueError, match=r"reads features, and a babbler reads none: .* preset of a vocoder"):
        BabblerConfig(name=featured.name, model=featured.model, spec=featured.spec, data=featured.data)
    config = tiny.unconditional()
    alone = Babbler(config=config, params=tiny.params_of(config))
    with pytest.raises(ExperimentError, match="babble knows no speakers by id: this is about models of two or more"):
        make_babble(alone, tmp_path, SHORT, quiet)
    with pytest.raises(ExperimentError, match="babble has 3 speaker ids and 0 names: train it on a corpus that"):
        make_babble(babbler(()), tmp_path, SHORT, quiet)
    long = dataclasses.replace(SHORT, seconds=4.0)
    with pytest.raises(BabbleError, match="the corpus holds no 4 s of anna in training"):
        judge_babble(babbler(), corpus, tmp_path, long, embed, quiet)
    with pytest.raises(ExperimentError, match="whom babble does not know: it knows x, y, z"):
        judge_babble(babbler(tuple("xyz")), corpus, tmp_path, SHORT, embed, quiet)
    with pytest.raises(ValueError, match=r"seconds must be at least 1 and at most 600, got 0\.1"):
        BabbleOptions(seconds=0.1)
    with pytest.raises(ValueError, match="num_seeds must be at least 1 and at most 1000, got 0"):
        BabbleOptions(num_seeds=0)
    assert not any(tmp_path.iterdir()), "nothing was written"
