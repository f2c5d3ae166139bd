"""scripts/predicted_features: the recordings stay, and the features are what a speaker makes of them."""

import dataclasses
import importlib.machinery
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from tests.scripts.test_demo_folder import SCRIPTS
from tests.tiny.models import cheap_jit
from tests.tiny.speakers import tiny_speaker, tiny_tacotron, tones
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus, prepare
from wavejax.data.alignments import (
    ALIGNMENTS_NAME,
    AlignedUtterance,
    Interval,
    read_alignments,
    write_alignments,
)
from wavejax.data.corpus import id_hash
from wavejax.models.parallel_speaker import initial_speaker_params
from wavejax.tasks.families import load
from wavejax.tasks.speaker.data import open_spoken
from wavejax.tasks.speaker.learner import recorded_manner, speaking_loss
from wavejax.tasks.speaker.lines import lines_of
from wavejax.tasks.speaker.product import Manner, Speaker


@pytest.fixture(scope="module")
def script() -> Any:
    loader = importlib.machinery.SourceFileLoader("predicted_features", str(SCRIPTS / "predicted_features"))
    spec = importlib.util.spec_from_loader("predicted_features", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones, of which one is not aligned and one holds a symbol that is none."""
    folder = Path(tones(tmp_path_factory.mktemp("tones")))
    aligned = read_alignments(folder / ALIGNMENTS_NAME)
    del aligned["tone_02"]
    other = aligned["tone_03"]
    phones = (Interval("alien", 0.0, other.phones[0].end), *other.phones[1:])
    aligned["tone_03"] = AlignedUtterance(id="tone_03", phones=phones)
    write_alignments(folder / ALIGNMENTS_NAME, aligned.values())
    (folder / "CREDITS.md").write_text("A computer hummed.\n")
    return folder


def tiny(gv_scale: float = 1.0, config: Any = None) -> Speaker:
    config = dataclasses.replace(config or tiny_speaker(), gv_scale=gv_scale)
    params = initial_speaker_params(config.model.build(), jax.random.key(1))
    return Speaker(config=config, params=params)


@pytest.fixture(scope="module")
def made(script: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    out = tmp_path_factory.mktemp("made") / "out"
    script.make(tiny(), folder, out, name="tiny")
    return Corpus.open(out)


def test_recordings_and_splits_stay_and_what_cannot_be_read_is_left_out(made: Corpus, folder: Path) -> None:
    before = Corpus.open(folder)
    kept = [number for number, entry in enumerate(before.entries) if entry.id not in ("tone_02", "tone_03")]
    assert len(made) == len(kept) == len(before) - 2
    assert made.spec == before.spec
    for new, old in enumerate(kept):
        placed = dataclasses.replace(made.entries[new], index=0)
        assert placed == dataclasses.replace(before.entries[old], index=0)
        (samples, mel), (recorded, own) = made.load(new), before.load(old)
        assert samples.tobytes() == recorded.tobytes()
        assert mel.shape == own.shape
        assert mel.dtype == np.float32
        assert np.abs(mel - own).mean() > 0.1  # what an untrained speaker makes


def test_features_are_those_of_the_training(made: Corpus, folder: Path) -> None:
    speaker = tiny()
    data = open_spoken(speaker.config, None, folder=str(folder))
    rows = 4
    batch = dict(next(iter(data.held_out("validation", slice(0, rows)))))
    loss = cheap_jit(speaking_loss(speaker.config, quiet=True))
    keys = jax.random.split(jax.random.key(0), rows)
    _, weight, _, sums = loss(speaker.params, {}, batch, keys)
    quietest = speaker.config.losses.quietest
    total = frames = 0.0
    for position in made.indices("validation"):
        own = np.maximum(log_mel_numpy(made.utterance(position).waveform, made.spec), quietest)
        total += float(np.abs(made.load(position)[1] - own).mean(axis=1).sum())
        frames += len(own)
    assert frames == float(weight)
    assert total / frames == pytest.approx(float(sums["mel"]) / frames, rel=1e-4)


def test_each_frame_is_that_of_the_training(made: Corpus, folder: Path) -> None:
    speaker = tiny()
    data, model = open_spoken(speaker.config, None, folder=str(folder)), speaker.config.model.build()
    batch = jax.tree.map(jnp.asarray, dict(next(iter(data.held_out("validation", slice(0, 4))))))
    prosody, melody = recorded_manner(model, batch, jnp.maximum(batch["features"], speaker.config.losses.quietest))
    told = batch["labels"], batch["num_labels"], batch["durations"], prosody, melody
    mel = np.asarray(cheap_jit(model.apply)({"params": speaker.params}, *told)[2])
    rows = {int(number): row for row, number in enumerate(batch["id"])}
    for position in made.indices("validation"):
        row, found = rows[id_hash(made.entries[position].id)], made.load(position)[1]
        np.testing.assert_allclose(found, mel[row, : len(found)], atol=1e-3)
        assert np.abs(np.diff(found, axis=0)).mean() > 0.02  # frames differ, so that a shift would be seen


def test_credits_come_along_and_phones_do_not(made: Corpus, script: Any, folder: Path, tmp_path: Path) -> None:
    script.make(tiny(), folder, tmp_path / "out", name="tiny")
    text = (tmp_path / "out" / "CREDITS.md").read_text()
    assert "what came with tiny says whose voice" in text
    shipped = script.credits_of(folder, "allison-tts")
    assert "wavejax/voices/allison-tts/CREDITS.md" in shipped
    assert "A computer hummed." in text
    assert not (tmp_path / "out" / ALIGNMENTS_NAME).exists()


def test_features_vary_as_the_speaker_does(made: Corpus, script: Any, folder: Path, tmp_path: Path) -> None:
    script.make(tiny(gv_scale=1.5), folder, tmp_path / "out", name="tiny")
    varied = Corpus.open(tmp_path / "out")
    for position in range(3):
        np.testing.assert_allclose(
            varied.load(position)[1], tiny(gv_scale=1.5).with_variance(made.load(position)[1]), atol=1e-4
        )
        assert varied.load(position)[1].std(axis=0).mean() > 1.2 * made.load(position)[1].std(axis=0).mean()


def refusal(script: Any, *arguments: Any) -> str:
    with pytest.raises(ValueError) as caught:
        script.make(*arguments, name="tiny")
    return str(caught.value)


def test_what_does_not_fit_is_refused(script: Any, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert "choose a new folder" in refusal(script, tiny(), folder, tmp_path / "full")
    assert "is not a prepared corpus" in refusal(script, tiny(), tmp_path / "full", out)
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    (bare / ALIGNMENTS_NAME).unlink()
    assert f"no {ALIGNMENTS_NAME}" in refusal(script, tiny(), bare, out)
    other = tmp_path / "other"
    prepare(folder.parent / "source", other, spec=get_spec("r9y9-new"), workers=1, progress=False)
    assert "another spec" in refusal(script, tiny(), other, out)
    assert "by itself" in refusal(script, Speaker(config=tiny_tacotron(), params={}), folder, out)
    strange = [AlignedUtterance(id=f"tone_{n:02}", phones=(Interval("alien", 0.0, 0.1),)) for n in range(24)]
    write_alignments(bare / ALIGNMENTS_NAME, strange)
    assert "no recording that tiny can read" in refusal(script, tiny(), bare, out)
    assert not out.exists()


@pytest.mark.slow
def test_a_speaker_that_ships_comes_nearest_to_the_recording_of_the_same_words(script: Any, tmp_path: Path) -> None:
    """Of sentences that the speaker said itself, as long as it said them."""
    speaker = load("heart", kind=Speaker).with_vocoder(load("universal"))
    source = tmp_path / "source"
    (source / "wavs").mkdir(parents=True)
    texts = ["The ship sails in the morning.", "Nobody knows my old friend.", "Please bring the red apples."]
    aligned = []
    for number, text in enumerate(texts):
        [line] = lines_of(text)
        waveform = speaker.said(line, Manner()).waveform
        soundfile.write(source / "wavs" / f"said_{number}.wav", waveform, 16_000, subtype="PCM_16")
        ends = np.cumsum([0, *speaker.durations(line)]) / speaker.config.spec.frame_rate
        borders = [float(end) for end in np.maximum(ends - (ends[-1] - len(waveform) / 16_000), 0)]
        phones = tuple(map(Interval, line.symbols, borders, borders[1:]))
        aligned.append(AlignedUtterance(id=f"said_{number}", phones=phones))
    (source / "metadata.csv").write_text("".join(f"said_{n}|{text}\n" for n, text in enumerate(texts)))
    write_alignments(source / ALIGNMENTS_NAME, aligned)
    prepare(source, tmp_path / "corpus", workers=1, progress=False, validation=0, test=0)
    script.make(speaker, tmp_path / "corpus", tmp_path / "out", name="heart")
    made, own = Corpus.open(tmp_path / "out"), Corpus.open(tmp_path / "corpus")
    far = np.zeros((len(made), len(own)))
    for row in range(len(made)):
        for column in range(len(own)):
            mel, recorded = made.load(row)[1], own.load(column)[1]
            count = min(len(mel), len(recorded))
            far[row, column] = np.abs(np.maximum(mel[:count], -10) - np.maximum(recorded[:count], -10)).mean()
    others = far[~np.eye(len(far), dtype=bool)]
    assert np.diag(far).max() < 0.5 * others.min()
