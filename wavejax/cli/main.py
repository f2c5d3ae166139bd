"""`wavejax COMMAND ...`: finds the command, runs it, and turns errors into one sentence and an exit code.

Exit codes: 0 done, 1 it could not be done (or `doctor` found something wrong), 2 the command line is wrong, 130 it was
ended by Ctrl-C, 143 by SIGTERM.
"""

import gc
import importlib
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches

import wavejax
from wavejax import allocator, interruption, terminal

COMMANDS: dict[str, tuple[str, str]] = {
    "prepare": ("wavejax.cli.corpora", "recordings -> a corpus to train on"),
    "features": ("wavejax.cli.corpora", "recordings -> log-mel features (.npy)"),
    "train": ("wavejax.cli.training", "a corpus -> a model; goes on where it was stopped"),
    "compile": ("wavejax.cli.compiling", "the train step, compiled for a pod that need not be there: does it fit"),
    "vocode": ("wavejax.cli.speaking", "recordings or features -> sound, through a model"),
    "play": ("wavejax.cli.playing", "notes -> sound, with an instrument"),
    "transcribe": ("wavejax.cli.transcribing", "recordings -> text, with a recogniser"),
    "align": ("wavejax.cli.transcribing", "a recording and its text -> when each word is said"),
    "language-model": ("wavejax.cli.language_modelling", "texts, and a corpus' transcripts -> a language model (ARPA)"),
    "say": ("wavejax.cli.saying", "a text -> speech, with the times of its words"),
    "compose": ("wavejax.cli.composing", "music from a composer, freely or around a melody"),
    "generate": ("wavejax.cli.speaking", "sound from a model alone, or after a prompt"),
    "voices": ("wavejax.cli.describing", "models that ship with wavejax"),
    "info": ("wavejax.cli.describing", "what a folder or file is"),
    "checkpoints": ("wavejax.cli.checkpoints", "list, verify or prune the checkpoints of a training folder"),
    "export-params": ("wavejax.cli.describing", "a training folder -> a small folder for inference"),
    "export-onnx": ("wavejax.cli.exporting_onnx", "a parallel vocoder -> an ONNX model, compared with the original"),
    "convert": ("wavejax.cli.converting", "a public project's weights -> a small folder for inference"),
    "evaluate": ("wavejax.cli.judging", "how a model predicts and sounds, beside baselines and anchors"),
    "evaluate-speakers": ("wavejax.cli.speakers", "what a speaker id does: held-out bits, babble, whose voice it is"),
    "doctor": ("wavejax.cli.judging", "what is wrong with an installation, a model or a recording"),
}
"""Name of each command -> its module, whose function `COMMANDS[name](arguments) -> exit code` runs it, and its use."""

WITHOUT_JAX = ("prepare", "features")
"""Commands that compile nothing and need not wait for JAX to be imported."""

SHORT = ("vocode", "play", "say", "compose", "generate", "voices", "info")
"""Commands that are over before garbage could fill the memory."""

EXAMPLE = """\
Example, from a folder of recordings to sound:
  wavejax prepare recordings/ corpus/
  wavejax train speech-16k-small --workdir run/ --corpus corpus/
  wavejax doctor run/
  wavejax vocode run/ speech.wav --out spoken/

`wavejax COMMAND --help` explains a command. WAVEJAX_TRACEBACK=1 shows where an error came from.
What was compiled is kept in ~/.cache/wavejax (or $WAVEJAX_CACHE), so that a command starts faster the next time;
WAVEJAX_COMPILATION_CACHE=off keeps nothing there. JAX_COMPILATION_CACHE_DIR and NUMBA_CACHE_DIR come first."""

TRACEBACK = "WAVEJAX_TRACEBACK"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: this process's) and return its exit code."""
    if arguments is None:
        # First: a thread that runs already may have a heap of its own.
        allocator.keep_freed_memory(one_heap=sys.argv[1:2] == ["train"])
        interruption.install()
        _say_every_name()
    with terminal.guarded():
        return _main(list(sys.argv[1:] if arguments is None else arguments), alone=arguments is None)


def _main(given: list[str], *, alone: bool) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if given else 2
    if given[0] in ("-V", "--version"):
        print(f"wavejax {wavejax.__version__}")
        return 0
    name = given[0]
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
        meant = f" (did you mean {near[0]}?)" if near else ""
        return _fail(f"there is no command {name!r}{meant}: choose one of {', '.join(COMMANDS)}", 2)
    with _messages():
        return _run(name, given[1:], alone=alone)


def _say_every_name() -> None:
    """What a terminal's encoding cannot say is escaped: a file's name must not end a command that has written it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def usage() -> str:
    """The help of the program itself."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {use}" for name, (_, use) in COMMANDS.items()]
    return "\n".join(["usage: wavejax COMMAND [OPTIONS]", "", *lines, "", EXAMPLE])


def _run(name: str, arguments: list[str], *, alone: bool) -> int:
    from wavejax import compilation_cache
    from wavejax.cli.parsing import UsageError

    compiles = name not in WITHOUT_JAX and not {"-h", "--help"} & {*arguments}
    try:
        with _few_collections(name in SHORT) if alone else nullcontext():
            command = importlib.import_module(COMMANDS[name][0]).COMMANDS[name]
        with compilation_cache.in_use() if compiles else nullcontext():
            return int(command(arguments))
    except SystemExit as done:  # --help
        return int(done.code or 0)
    except UsageError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        # Whoever read our output has gone: nothing is left to say, and to no one.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        if (trouble := _import_trouble(error)) is not None:  # first, for what follows imports JAX
            return _fail(trouble, 1)
        if _is_expected(error):
            return _fail(_sentence(error), 1)
        if (trouble := _platform_trouble()) is not None:
            return _fail(trouble, 1)
        raise


@contextmanager
def _few_collections(is_short: bool) -> Iterator[None]:
    """Imports make a million objects that stay: to look for garbage among them, now and later, is a sixth of the time
    of a short command, as it is among what a compiler makes. Only where this process is ours."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if is_short:
            gc.set_threshold(50_000, 20, 100)


def _is_expected(error: Exception) -> bool:
    """Errors by which the library refuses what it was given, or the system what we asked for."""
    from wavejax.extras import MissingExtra

    if isinstance(error, ValueError | OSError | MissingExtra):
        return True
    from wavejax.checkpoints import CheckpointError  # imports JAX, as whatever raises one has done
    from wavejax.training import NonFiniteError

    return isinstance(error, CheckpointError | NonFiniteError)


def _import_trouble(error: Exception) -> str | None:
    """What the environment tells JAX, where that is why it could not be imported."""
    told = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("JAX_")]
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    if "jax" in sys.modules or not told or not any(module.partition(".")[0] == "jax" for module in modules):
        return None
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"JAX cannot be imported ({said}): correct or unset what the environment tells it, {', '.join(told)}"


def _platform_trouble() -> str | None:
    """Why JAX starts no device, where that may be what went wrong."""
    if "jax" not in sys.modules:
        return None
    from wavejax.parallel.platforms import platform_trouble

    return platform_trouble()


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):  # of a training, the notes name the last good checkpoint
        where = f"{error.filename}: {error.strerror}" if error.strerror and error.filename else str(error)
        if notes := getattr(error, "__notes__", ()):
            return ". ".join([where, *notes])
        if error.filename or type(error) is not OSError:
            return where or type(error).__name__
    said = str(error) or type(error).__name__
    if type(error) in (ValueError, OSError):
        return f"{said} ({TRACEBACK}=1 shows where this came from)"
    return said


def _fail(sentence: str, code: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code


@contextmanager
def _messages() -> Iterator[None]:
    """What the library logs (a resumed step, a damaged checkpoint) goes to standard error while a command runs.

    Orbax logs a failed save from its own thread with a traceback ("absl"); the error that follows says it in words. It
    also gives the root logger a handler, which would say each of our messages once more.
    """
    handler, logger, orbax = logging.StreamHandler(sys.stderr), logging.getLogger("wavejax"), logging.getLogger("absl")
    levels, propagates = (logger.level, orbax.level), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    orbax.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
        logger.setLevel(levels[0])
        orbax.setLevel(levels[1])
