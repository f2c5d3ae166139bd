"""`wavejax checkpoints`: what is there, what is damaged, what may go."""

import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoints.states import META, tiny_state
from tests.tiny import commands as tiny
from wavejax.checkpoints import CheckpointStore
from wavejax.checkpoints.folder import saved_steps

STEPS = (10, 20, 30, 40)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training folder with four checkpoints and a log, copied for every test."""
    folder = tmp_path_factory.mktemp("run")
    with CheckpointStore(folder / "checkpoints", keep_last=4) as store:
        for step in STEPS:
            average = np.random.default_rng(step).normal(size=(300, 40)).astype(np.float32)
            state = tiny_state().replace(
                step=jnp.full((), step, jnp.int32), ema_params={"input": {"kernel": jnp.asarray(average)}}
            )
            store.save(step, state, META, metrics={"score": float(step)} if step == 40 else None)
    records = [{"step": 15, "loss": 3.5}, {"step": 20, "validation/loss": 3.25}, {"step": 45, "loss": 1.0}]
    lines = [json.dumps(record) for record in records]
    (folder / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 4']))
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


def damage(folder: Path, step: int) -> Path:
    """Flips a byte in the file that holds the arrays."""
    files = [path for path in (folder / "checkpoints" / str(step)).rglob("d/*") if path.is_file()]
    victim = max(files, key=lambda path: path.stat().st_size)
    tiny.flip_byte(victim)
    return victim


def test_list_says_what_is_there(run, folder):
    damage(folder, 30)
    said = run("checkpoints", "list", folder)
    assert said.code == 0
    lines = said.out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["10", "20", "30", "40"]
    assert ["DAMAGED" in line for line in lines] == [False, False, True, False]
    assert "loss" not in lines[0]
    assert "loss 3.5000  validation/loss 3.2500" in lines[1]
    assert "score 40.0000" in lines[3]
    assert "loss 1.0" not in said.out
    assert run("checkpoints", "list", folder / "checkpoints").out == said.out


def test_the_best_by_validation_is_marked_and_may_be_kept(run, tmp_path):
    with CheckpointStore(tmp_path / "checkpoints", keep_last=4) as store:
        for step, loss in zip(STEPS, (None, 2.5, 2.25, 3.0), strict=True):
            store.save(step, tiny_state(), META, metrics={} if loss is None else {"validation/loss": loss})
    lines = run("checkpoints", "list", tmp_path).out.splitlines()[1:]
    assert [line.endswith("  (best)") for line in lines] == [False, False, True, False]
    said = run("checkpoints", "prune", tmp_path, "--keep-last", "1", "--keep-best", "--delete")
    assert said.out == "stay: 30, 40\nremoved: 10, 20\n"


def test_verify_reads_everything_and_names_leaf_and_file(run, folder):
    said = run("checkpoints", "verify", folder)
    assert (said.code, said.out) == (0, "".join(f"step {step}: sound\n" for step in STEPS))
    victim = damage(folder, 40)
    said = run("checkpoints", "verify", folder)
    assert said.code == 1
    assert "step 30: sound" in said.out
    assert "step 40: checksum mismatch or unreadable" in said.out
    assert "  damaged leaf  ema_params/input/kernel" in said.out
    name = victim.relative_to(folder / "checkpoints" / "40").as_posix()
    assert f"  damaged file  {name} (contents changed)" in said.out
    assert run("checkpoints", "verify", folder, "--step", "30").code == 0
    assert run("checkpoints", "verify", folder, "--step", "40").code == 1
    assert "no checkpoint of step 41" in run("checkpoints", "verify", folder, "--step", "41").error
    (folder / "checkpoints" / "20" / "meta" / "metadata").write_text("{}")
    said = run("checkpoints", "verify", folder, "--step", "20")
    assert said.code == 1
    assert "its record cannot be read" in said.out
    assert "damaged file  meta/metadata" in said.out


def test_prune_says_first_and_removes_when_told(run, folder):
    arguments = ("checkpoints", "prune", folder, "--keep-last", "1", "--keep-every", "20")
    said = run(*arguments)
    assert (said.code, said.out) == (0, "stay: 20, 40\nwould go (--delete removes them): 10, 30\n")
    assert saved_steps(folder / "checkpoints") == STEPS
    assert run(*arguments, "--delete").out == "stay: 20, 40\nremoved: 10, 30\n"
    assert sorted(path.name for path in (folder / "checkpoints").iterdir() if path.is_dir()) == ["20", "40"]


def test_prune_never_removes_the_newest_sound_one(run, folder):
    damage(folder, 40)
    damage(folder, 30)
    said = run("checkpoints", "prune", folder, "--keep-last", "1", "--delete")
    assert said.out == "stay: 20, 40\nremoved: 10, 30\n"
    damage(folder, 20)
    said = run("checkpoints", "prune", folder, "--keep-last", "1", "--delete")
    assert said.code == 1
    assert "is sound, so none is removed" in said.out
    assert saved_steps(folder / "checkpoints") == (20, 40)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "say what to do: wavejax checkpoints list|verify|prune FOLDER"),
        (("lst",), 2, "there is no 'lst'"),
        (("list", "nowhere"), 1, "nowhere is no folder: give a training folder"),
        (("list", "."), 1, "holds no checkpoint"),
        (("prune", "."), 2, "missing: --keep-last"),
        (("prune", ".", "--keep-last", "0"), 2, "--keep-last must be at least 1, got 0"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence(run, tmp_path, monkeypatch, arguments, code, sentence):
    monkeypatch.chdir(tmp_path)
    said = run("checkpoints", *arguments)
    assert said.code == code
    assert sentence in said.error
    assert said.error.count("\n") == 1


def test_a_copy_is_no_other_step_and_stray_folders_are_none(run, folder):
    shutil.copytree(folder / "checkpoints" / "40", folder / "checkpoints" / "50")
    for name in ("007", ".replaced-50.bak"):
        (folder / "checkpoints" / name).mkdir()
    listed = run("checkpoints", "list", folder)
    assert (listed.code, [line.split()[0] for line in listed.out.splitlines()[1:]]) == (0, [*map(str, STEPS), "50"])
    assert "DAMAGED" in listed.out.splitlines()[-1]
    verified = run("checkpoints", "verify", folder)
    assert verified.code == 1
    assert verified.out.splitlines()[-1] == (
        "step 50: it is a copy of step 40: give the folder that name, or remove it"
    )
