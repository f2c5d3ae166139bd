"""A speaker that attends: its words and their times, its seed, its end, its sentences side by side; how it learns."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tasks.speaker.test_product import FIRST, SECOND, Hum
from tests.tiny.families import tiny_experiment
from tests.tiny.models import cheap_jit
from tests.tiny.speakers import tiny_tacotron
from wavejax.experiments.metadata import ExperimentError
from wavejax.models.tacotron2 import initial_tacotron2_params
from wavejax.tasks.families import preset
from wavejax.tasks.speaker.lines import Line, in_letters, lines_of
from wavejax.tasks.speaker.tacotron_config import TacotronLossConfig
from wavejax.tasks.speaker.tacotron_data import TacotronData, open_aligned
from wavejax.tasks.speaker.tacotron_evaluation import attention_picture, attention_report, gate_picture
from wavejax.tasks.speaker.tacotron_learner import _guides, tacotron_learner, tacotron_loss
from wavejax.tasks.speaker.tacotron_product import Attended, AttentiveSpeaker


def random_speaker(gate: float = -20.0, **changes: Any) -> AttentiveSpeaker:
    """A speaker of random parameters, whose gate has this logit, and whatever it says up to about 1 more."""
    config = tiny_tacotron(**changes)
    shapes = jax.eval_shape(lambda: initial_tacotron2_params(config.model.build(), jax.random.key(0)))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: (0.5 * rng.normal(size=leaf.shape)).astype(np.float32), shapes)
    for part in (params["encoder"]["convolutions"], params["postnet"]):
        for name, layer in part.items():
            if name.startswith("norm"):
                layer["variance"] = np.ones_like(layer["variance"])
    params["decoder"]["gate_bias"] = np.asarray([gate], np.float32)
    return AttentiveSpeaker(config=config, params=params)


@pytest.fixture(scope="module")
def speaker() -> AttentiveSpeaker:
    return random_speaker(seconds_per_symbol=0.05).with_vocoder(Hum())


def test_a_sentence_is_the_same_alone_in_a_text_and_as_a_stream(speaker: AttentiveSpeaker) -> None:
    alone = [speaker.say(sentence, seed=3).waveform for sentence in (FIRST, SECOND)]
    together = speaker.say(f"{FIRST} {SECOND}", seed=3)
    np.testing.assert_array_equal(np.concatenate(alone), together.waveform)
    np.testing.assert_array_equal(np.concatenate(list(speaker.stream(f"{FIRST} {SECOND}", seed=3))), together.waveform)
    assert [word.text for word in together.words] == ["Dr.", "Smith", "paid", "$45.50", "Did", "he", "on", "Monday"]
    times = [moment for word in together.words for moment in (word.start, word.end)]
    assert np.all(np.diff(times) > -1e-9)
    assert times[-1] <= together.duration


def test_speech_is_a_function_of_the_seed(speaker: AttentiveSpeaker) -> None:
    [line] = lines_of(SECOND)
    one, again, other = (speaker.attended(speaker.read(line), seed).mel for seed in (5, 5, 2**33 + 5))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-2


def test_sentences_side_by_side_are_those_one_by_one(speaker: AttentiveSpeaker) -> None:
    lines = [speaker.read(line) for line in lines_of(f"{FIRST} {SECOND}")]
    for line, said in zip(lines, speaker.attended_all(lines, 3), strict=True):
        alone = speaker.attended(line, 3)
        np.testing.assert_allclose(said.mel, alone.mel, atol=1e-4)
        np.testing.assert_allclose(said.attention, alone.attention, atol=1e-5)
        np.testing.assert_allclose(said.attention.sum(axis=1), 1, rtol=1e-5)
        assert said.attention.shape[1] == len(line.symbols)


def test_what_does_not_end_is_cut_and_said_to_be(speaker: AttentiveSpeaker, caplog: pytest.LogCaptureFixture) -> None:
    [line] = lines_of("Go on.")
    with caplog.at_level(logging.WARNING):
        mel, _ = speaker.mel(line)
    assert len(mel) == round((1 + 7 * 0.05) * 80)
    assert "did not end the sentence 'Go on' by itself: it was cut after 1.4 s" in caplog.text
    ended = random_speaker(gate=20.0).attended(line)
    assert ended.ended
    assert len(ended.mel) == 2, "the first step's gate is open"


def test_where_it_attends_says_when_words_are_said() -> None:
    rows = [0, 1, 1, 3, 2, 4]
    said = Attended(
        mel=np.zeros((12, 80), np.float32),
        attention=np.eye(6, dtype=np.float32)[rows],
        gates=np.zeros(6, np.float32),
        ended=True,
        frames_per_step=2,
    )
    assert said.path.tolist() == rows
    assert said.ends.tolist() == [2, 6, 6, 10, 12, 12]
    assert said.in_order
    for changes in (
        {"ended": False},
        {"attention": np.eye(6, dtype=np.float32)[[0, 1, 3, 1, 2, 5]]},  # a step back
        {"attention": np.eye(9, dtype=np.float32)[[0, 1, 2, 3, 4, 4]]},  # the end is not read
        {"attention": np.eye(9, dtype=np.float32)[[0, 1, 2, 7, 7, 8]]},  # a leap
    ):
        assert not dataclasses.replace(said, **changes).in_order, changes


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"rate": 1.5}, "decides itself how fast and how high it speaks: leave rate and pitch out"),
        ({"pitch": 2.0}, "decides itself how fast and how high it speaks"),
        ({"rate": 9.0}, r"rate must be at least 0\.25"),
        ({"speaker": "ann"}, "has one voice, but speaker='ann' was given"),
    ],
)
def test_what_cannot_be_wished_is_refused(speaker: AttentiveSpeaker, wish: dict[str, Any], why: str) -> None:
    with pytest.raises(ExperimentError, match=why):
        speaker.say(FIRST, **wish)


def test_what_a_text_cannot_wish_is_refused(speaker: AttentiveSpeaker) -> None:
    for text in ('Go <break time="1s"/> on.', '<prosody rate="50%">Go on.</prosody>'):
        with pytest.raises(ExperimentError, match="asks for a rate, a pitch or a pause of a certain length"):
            speaker.say(f"<speak>{text}</speak>")


def test_letters_stand_for_the_words_that_are_spoken() -> None:
    [line] = lines_of("Dr. Smith paid $4, twice.")
    spelt = in_letters(line)
    assert "".join(spelt.symbols) == " doctor smith paid four dollars,twice."
    assert [(word.text, "".join(spelt.symbols[word.first : word.last])) for word in spelt.words][::3] == [
        ("Dr.", "doctor"),
        ("$4", "four dollars"),
    ]
    assert line.words[0].spoken == "doctor"


def test_the_published_experiment_has_the_published_settings() -> None:
    config = preset("tacotron2")
    assert config.text.num_classes == 148
    assert config.losses == TacotronLossConfig(mel=0, mel_squared=1, gate=1, last_gate=1, aligned=0, guided=0)
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.clip_norm, config.training.batch_size) == (1e-3, 1.0, 64)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_experiment("tacotron", tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def data(config: Any) -> TacotronData:
    return open_aligned(config, None)


def test_padding_does_not_count(config: Any, data: TacotronData) -> None:
    batch = jax.tree.map(jnp.asarray, dict(next(iter(data.held_out("train", slice(0, 8))))))
    loss, state = cheap_jit(tacotron_loss(config)), tacotron_learner(config).init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(0), 8)
    total, weight, changed, parts = loss(state.params, state.model_state, batch, keys)
    assert float(weight) == float(batch["num_frames"].sum())
    assert set(parts) == {"mel", "mel_squared", "gate", "aligned", "guided", "near", "apart"}
    other = {name: np.array(value) for name, value in batch.items()}
    for row in range(8):
        other["features"][row, batch["num_frames"][row] :] = -3.0
        other["labels"][row, batch["num_labels"][row] :] = 5
    again = loss(state.params, state.model_state, jax.tree.map(jnp.asarray, other), keys)
    np.testing.assert_allclose(again[0], total, rtol=1e-5)
    np.testing.assert_allclose(changed["near"], 0.05 * parts["near"] / weight, rtol=1e-5)
    moved = jax.tree.map(lambda one, two: np.abs(one - two).max(), changed, state.model_state)
    assert all(value > 0 for value in jax.tree.leaves(moved))


def test_guides_lose_their_weight_where_attention_holds_and_get_it_back() -> None:
    weights = TacotronLossConfig(held=0.8)
    found = [float(_guides(weights, jnp.float32(near))) for near in (0.0, 0.7, 0.75, 0.8, 0.9)]
    np.testing.assert_allclose(found, [1, 1, 0.5, 0, 0], atol=1e-5)


def test_a_report_shows_attention_and_gates(data: TacotronData, tmp_path: Path) -> None:
    speaker = random_speaker(seconds_per_symbol=0.05)
    report = attention_report(speaker, data, "validation", most=3)
    assert (report.count, report.ended, report.in_order) == (2, 0.0, 0.0)
    assert 0 < report.near < 1
    assert report.mel > 0
    assert any("0.0 % of 2 sentences, from their phonemes alone" in line for line in report.lines())
    written = report.write(tmp_path / "report")
    assert written is not None
    assert json.loads(written.read_text())["count"] == 2
    names = [name for name, _ in report.examples]
    for name in names:
        for kind in ("attention", "gate"):
            assert (tmp_path / "report" / f"{kind}_{name}.png").read_bytes().startswith(b"\x89PNG")
    said = report.examples[0][1]
    picture = attention_picture(said)
    assert picture.shape == (4 * said.attention.shape[1], 4 * len(said.gates))
    np.testing.assert_array_equal(picture[-1, ::4], said.attention[:, 0])
    rising = np.linspace(0, 1, len(said.gates)).astype(np.float32)
    np.testing.assert_allclose(
        gate_picture(dataclasses.replace(said, gates=rising)).mean(axis=0)[::4], rising, atol=0.011
    )


def test_phones_are_written_as_the_vocabulary_has_them(data: TacotronData, config: Any) -> None:
    published = preset("tacotron2")
    model = dataclasses.replace(config.model, num_classes=148)
    other = dataclasses.replace(config, text=published.text, model=model)
    position = data.utterances("validation").listed[0].position
    found = open_aligned(other, data.corpus).symbols(position)
    symbols = data.alignments[data.corpus.entries[position].id].symbols
    assert [published.text.symbols[each - 1].removeprefix("@") for each in found] == list(symbols)


def test_a_line_of_phones_is_read_as_it_is(speaker: AttentiveSpeaker) -> None:
    line = Line(symbols=(" ", "M", "AA1", "."))
    assert speaker.read(line) == line
