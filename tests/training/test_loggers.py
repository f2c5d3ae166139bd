"""What is logged can be read back, and a restarted run does not repeat itself."""

import io
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from wavejax.training import ConsoleLogger, JsonLinesLogger, Logger, LoggerGroup, TensorBoardLogger


def test_json_lines_continue_where_the_checkpoint_was(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    logger = JsonLinesLogger(path)
    logger.start(0)
    for step in (10, 20, 30):
        logger.scalars(step, {"loss": 1 / step, "odd": math.inf})
    with path.open("a") as file:
        file.write('{"step": 40, "lo')  # killed while writing
    again = JsonLinesLogger(path)
    again.start(20)
    again.scalars(30, {"loss": 0.5})
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(record["step"], record["loss"]) for record in records] == [(10, 0.1), (20, 0.05), (30, 0.5)]
    assert records[0]["odd"] is None
    assert records[0]["time"] > 1.7e9


@pytest.mark.parametrize("content", ["epoch,loss\n1,2\n", '{"epoch": 1}\n{"step": 1}\n', "[1]\n", "\n"])
def test_a_log_of_another_program_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(content)
    for call in (JsonLinesLogger(path).refuse_foreign, lambda: JsonLinesLogger(path).start(0)):
        with pytest.raises(FileExistsError, match=r"it is no log of a training.*metrics\.jsonl"):
            call()
    assert path.read_text() == content
    for own in ("", '{"step": 1', '{"step": 1, "time": 2.0}\n'):
        path.write_text(own)
        JsonLinesLogger(path).start(0)
        assert path.read_text() == ""


def test_a_group_passes_everything_on() -> None:
    calls: list[tuple] = []

    class Spy(Logger):
        def __init__(self, name: str) -> None:
            self.name = name

        def start(self, *arguments: object) -> None:
            calls.append((self.name, "start", *arguments))

        def scalars(self, *arguments: object) -> None:
            calls.append((self.name, "scalars", *arguments))

        def audio(self, *arguments: object) -> None:
            calls.append((self.name, "audio", *arguments))

        def image(self, *arguments: object) -> None:
            calls.append((self.name, "image", *arguments))

        def close(self) -> None:
            calls.append((self.name, "close"))

    group = LoggerGroup([Spy("a"), Spy("b")])
    wave, picture = np.zeros(4, np.float32), np.zeros((2, 2), np.uint8)
    group.start(3)
    group.scalars(1, {"loss": 2.0})
    group.audio(1, "voice", wave, 16000)
    group.image(1, "mel", picture)
    group.close()
    assert calls == [
        *((name, "start", 3) for name in "ab"),
        *((name, "scalars", 1, {"loss": 2.0}) for name in "ab"),
        *((name, "audio", 1, "voice", wave, 16000) for name in "ab"),
        *((name, "image", 1, "mel", picture) for name in "ab"),
        ("b", "close"),
        ("a", "close"),
    ]


def _events(folder: Path) -> list:
    """The events of all event files of a folder, in order."""
    from tensorboardX.proto import event_pb2

    events = []
    for path in sorted(folder.glob("events*")):
        data, position = path.read_bytes(), 0
        while position < len(data):
            (length,) = struct.unpack_from("<Q", data, position)
            event = event_pb2.Event()
            event.ParseFromString(data[position + 12 : position + 12 + length])
            events.append(event)
            position += 12 + length + 4
    return events


def test_tensorboard_holds_scalars_audio_and_images(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path)
    logger.start(0)
    logger.scalars(5, {"loss": 1.5, "validation/loss": 2.5})
    wave = np.sin(np.linspace(0, 100, 1600)).astype(np.float32) * 2  # clipped
    logger.audio(5, "voice", wave, 16000)
    logger.image(5, "mel", np.linspace(0, 1, 12).reshape(3, 4))
    logger.image(5, "colour", np.zeros((3, 4, 3), np.uint8))
    logger.close()
    values = {value.tag: value for event in _events(tmp_path) for value in event.summary.value}
    assert set(values) == {"loss", "validation/loss", "voice", "mel", "colour"}
    assert values["validation/loss"].simple_value == 2.5
    assert (values["voice"].audio.sample_rate, values["voice"].audio.length_frames) == (16000, 1600)
    assert values["voice"].audio.encoded_audio_string[:4] == b"RIFF"
    assert (values["mel"].image.height, values["mel"].image.width) == (3, 4)
    with pytest.raises(ValueError, match=r"image 'mel' has shape \(3, 4, 7\); expected \[height, width\]"):
        logger.image(6, "mel", np.zeros((3, 4, 7)))
    logger.close()


def test_the_console_prints_lines_where_it_is_no_terminal() -> None:
    output = io.StringIO()
    logger = ConsoleLogger(100, console=Console(file=output, width=120))
    logger.start(0)
    logger.scalars(10, {"loss": 2.34567, "gradient_norm": 0.5, "steps_per_second": 3.0, "samples_per_second": 31000.0})
    logger.scalars(10, {"validation/loss": 2.5})
    logger.close()
    lines = output.getvalue().splitlines()
    assert lines == ["step 10/100  loss 2.3457  gradient 0.5  3.1e+04 samples/s", "step 10/100  validation/loss 2.5000"]


def test_the_console_shows_a_bar_on_a_terminal() -> None:
    output = io.StringIO()
    console = Console(file=output, width=120, force_terminal=True, color_system=None, legacy_windows=False)
    logger = ConsoleLogger(100, names={"loss": "{:.2f} bits"}, console=console)
    logger.start(40)
    logger.scalars(50, {"loss": 4.5678})
    logger.close()
    assert "50/100" in output.getvalue()
    assert "4.57 bits" in output.getvalue()


class Gone(io.StringIO):
    """A pipe that nobody reads, or a terminal that was closed."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error, self.attempts = error, 0

    def write(self, text: str) -> int:
        self.attempts += 1
        raise self.error


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error")])
def test_a_console_that_is_gone_ends_nothing(
    terminal: bool, error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.dup2", lambda *descriptors: None)  # by which rich silences the process's own output
    gone = Gone(error)
    console = Console(file=gone, force_terminal=terminal, color_system=None, legacy_windows=False)
    logger = ConsoleLogger(100, console=console)
    logger.start(0)
    logger.scalars(10, {"loss": 2.0})
    logger.scalars(20, {"loss": 2.0})
    logger.close()
    assert gone.attempts, "something was written, and what it raised went no further"
