"""`wavejax convert`: what it says and writes, and that a file that is refused leaves nothing."""

from pathlib import Path

import pytest

from tests.conversion import networks
from tests.conversion import weight_files as make
from wavejax.checkpoints import load_params


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(make.torch_new(networks.vocos(channels=8, hidden=8, blocks=1), place="state_dict"))
    return path


def test_convert_says_what_it_read_and_writes_a_folder(run, weights: Path, tmp_path: Path) -> None:
    said = run("convert", weights, tmp_path / "voice")
    assert (said.code, said.error) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "pytorch_model.bin:"
    assert lines[1].startswith("file            torch, part 'state_dict'; SHA-256 ")
    assert lines[2] == "recognised      charactr/vocos-mel-24khz with 1 blocks of 8 channels"
    assert lines[3] == "tensors         20: 17 used for 15,106 parameters"
    assert "left out        1: the mel filterbank, compared with the spec's" in lines
    assert "features        vocos-24k: 24000 Hz, hop 256, 100 bands" in lines
    assert any(line.startswith("parity          1792 samples, at most ") for line in lines)
    assert lines[-1].startswith(f"{tmp_path / 'voice'}: 0.1 MB; wavejax vocode ")
    params, meta = load_params(tmp_path / "voice")
    assert params["head"]["kernel"].shape == (8, 1026)
    assert meta["conversion"]["sha256"].startswith(lines[1].split("SHA-256 ")[1].removesuffix("..."))


def test_what_is_refused_is_one_sentence_and_leaves_nothing(run, tmp_path: Path) -> None:
    harm = make.named("os", "system") + make.group(make.text(f"touch {tmp_path / 'harm'}")) + b"R"
    (tmp_path / "evil.pt").write_bytes(make.torch_zip(harm, {}))
    said = run("convert", tmp_path / "evil.pt", tmp_path / "voice")
    assert said.code == 1
    assert said.error.startswith(
        f"error: {tmp_path / 'evil.pt'}: the pickle asks for 'os.system', which weights do not"
    )
    assert said.error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pt"]
    said = run("convert", tmp_path / "none.pt", tmp_path / "voice")
    assert said.code == 1
    assert said.error == f"error: {tmp_path / 'none.pt'}: No such file or directory\n"


def test_a_part_that_is_not_there(run, weights: Path, tmp_path: Path) -> None:
    said = run("convert", weights, tmp_path / "voice", "--part", "ema")
    assert said.code == 1
    assert "it has no part 'ema'; it has 'state_dict' (20 tensors)" in said.error
    assert not (tmp_path / "voice").exists()


def test_a_folder_that_holds_other_things_is_left_alone(run, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "voice").mkdir()
    (tmp_path / "voice" / "thesis.tex").write_text("years of work")
    said = run("convert", weights, tmp_path / "voice")
    assert said.code == 1
    assert "holds other things (thesis.tex)" in said.error
    assert (tmp_path / "voice" / "thesis.tex").read_text() == "years of work"
