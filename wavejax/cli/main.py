"""`wavejax COMMAND ...`: finds the command, runs it, and turns errors into one sentence and an exit code.

Exit codes: 0 done, 1 it could not be done (or `doctor` found something wrong), 2 the command line is wrong.
"""

import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches

import wavejax

COMMANDS: dict[str, tuple[str, str]] = {
    "prepare": ("wavejax.cli.corpora", "recordings -> a corpus to train on"),
    "features": ("wavejax.cli.corpora", "recordings -> log-mel features (.npy)"),
    "train": ("wavejax.cli.training", "a corpus -> a model; goes on where it was stopped"),
    "compile": ("wavejax.cli.compiling", "the train step, compiled for a pod that need not be there: does it fit"),
    "vocode": ("wavejax.cli.speaking", "recordings or features -> sound, through a model"),
    "play": ("wavejax.cli.playing", "notes -> sound, with an instrument"),
    "generate": ("wavejax.cli.speaking", "sound from a model alone, or after a prompt"),
    "voices": ("wavejax.cli.describing", "models that ship with wavejax"),
    "info": ("wavejax.cli.describing", "what a folder or file is"),
    "checkpoints": ("wavejax.cli.checkpoints", "list, verify or prune the checkpoints of a training folder"),
    "export-params": ("wavejax.cli.describing", "a training folder -> a small folder for inference"),
    "convert": ("wavejax.cli.converting", "a public project's weights -> a small folder for inference"),
    "evaluate": ("wavejax.cli.judging", "how a model predicts and sounds, beside baselines and anchors"),
    "evaluate-speakers": ("wavejax.cli.speakers", "what a speaker id does: held-out bits, babble, whose voice it is"),
    "doctor": ("wavejax.cli.judging", "what is wrong with an installation, a model or a recording"),
}
"""Name of each command -> its module, whose function `COMMANDS[name](arguments) -> exit code` runs it, and its use."""

WITHOUT_JAX = ("prepare", "features")
"""Commands that compile nothing and need not wait for JAX to be imported."""

SHORT = ("vocode", "play", "generate", "voices", "info")
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
    given = list(sys.argv[1:] if arguments is None else arguments)
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
        return _run(name, given[1:], alone=arguments is None)


def usage() -> str:
    """The help of the program itself."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {use}" for name, (_, use) in COMMANDS.items()]
    return "\n".join(["usage: wavejax COMMAND [OPTIONS]", "", *lines, "", EXAMPLE])


def _run(name: str, arguments: list[str], *, alone: bool) -> int:
    from wavejax import compilation_cache
    from wavejax.cli.parsing import UsageError

    try:
        with _few_collections(name in SHORT) if alone else nullcontext():
            command = importlib.import_module(COMMANDS[name][0]).COMMANDS[name]
        compiles = name not in WITHOUT_JAX and not {"-h", "--help"} & {*arguments}
        with compilation_cache.in_use() if compiles else nullcontext():
            return int(command(arguments))
    except SystemExit as done:  # --help
        return int(done.code or 0)
    except UsageError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 1)
    except BrokenPipeError:
        # Whoever read our output has gone: nothing is left to say, and to no one.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get(TRACEBACK) or not _is_expected(error):
            raise
        return _fail(_sentence(error), 1)


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
    from wavejax.checkpoints import CheckpointError
    from wavejax.extras import MissingExtra
    from wavejax.training import NonFiniteError

    return isinstance(error, ValueError | OSError | CheckpointError | MissingExtra | NonFiniteError)


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

    Orbax logs a failed save from its own thread with a traceback ("absl"); the error that follows says it in words.
    """
    handler, logger, orbax = logging.StreamHandler(sys.stderr), logging.getLogger("wavejax"), logging.getLogger("absl")
    levels = logger.level, orbax.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    orbax.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(levels[0])
        orbax.setLevel(levels[1])
