"""Ctrl-C and SIGTERM in a command: the process ends immediately and cleanly, whenever they come.

By default Python raises KeyboardInterrupt wherever the main thread is. In the middle of an import or a compiler this is
swallowed or crashes, and while native code runs, nothing happens. So in a command a separate thread waits for both
signals. It calls the registered reactions (`reacting`), removes half-written files (`at_end`), and ends the process
without unwinding the stack. A process that has not called `install` is unaffected.

This module imports little, because Python handles Ctrl-C until it is loaded.
"""

import atexit
import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_FLUSH_SECONDS = 2.0  # limit for flushing printed text, which nobody may be reading
_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides the cursor

React = Callable[[int], bool]
_reactions: list[React] = []
_cleanups: list[Callable[[], None]] = []
_installed = False
_ending = threading.Event()


def install() -> None:
    """Hands both signals to the thread; call it first, in the main thread. A second call does nothing.

    Signals that the process was told to ignore (nohup, a shell's background jobs) stay ignored. If the system has no
    such signals, or other code already handles them, nothing is changed.
    """
    global _installed
    if _installed or os.name != "posix" or threading.current_thread() is not threading.main_thread():
        return
    ours = [number for number in SIGNALS if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)]
    if not ours:
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    atexit.register(_do_not_overtake)
    threading.Thread(target=_watch, args=(reading,), name="wavejax signals", daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in ours:
        signal.signal(number, _left_to_the_thread)
    _installed = True


def is_installed() -> bool:
    """Whether this process's signals are handled here."""
    return _installed


@contextlib.contextmanager
def reacting(react: React) -> Iterator[None]:
    """Inside the block, `react(number)` is called when a signal comes; if it returns True, the process continues.

    It is called in a separate thread, while the main thread continues its work. If blocks are nested, the innermost
    `react` is called. If `install` has not been called, nothing happens.
    """
    _reactions.append(react)
    try:
        yield
    finally:
        _reactions.remove(react)


def at_end(clean: Callable[[], None]) -> None:
    """Registers a function that the thread calls before a signal ends the process, to remove half-written files."""
    _cleanups.append(clean)


@contextlib.contextmanager
def unseen_by_children() -> Iterator[None]:
    """Child processes started inside the block get neither signal: a terminal sends Ctrl-C to children, too."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS[:1])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(number: int) -> None:
    """Ends the process with exit code 128 + number, as if the signal had ended it; no file stays half-written."""
    _ending.set()
    for clean in tuple(_cleanups):
        clean()
    flushing = threading.Thread(target=_flush, args=(WORDS.get(signal.Signals(number), "ended"),), daemon=True)
    flushing.start()
    flushing.join(_FLUSH_SECONDS)
    os._exit(128 + number)


def _do_not_overtake() -> None:
    """Makes the signal's exit code win even if the main thread reaches its end meanwhile."""
    while _ending.is_set():
        time.sleep(1.0)


def _left_to_the_thread(number: int, frame: FrameType | None) -> None:
    """The handler that Python calls some time later, when the thread already knows of the signal."""


def _watch(reading: int) -> None:
    while data := os.read(reading, 64):
        for number in data:
            # In a supervisor, for example, another handler has taken over.
            if number in SIGNALS and signal.getsignal(number) is _left_to_the_thread:
                _receive(number)


def _receive(number: int) -> None:
    try:
        goes_on = bool(_reactions) and _reactions[-1](number)
    except Exception as error:  # for example, the disk is full
        from wavejax.terminal import printable

        _say(f"error: {printable(str(error))}")
        goes_on = False
    if not goes_on:
        end(number)


def _flush(word: str) -> None:
    with contextlib.suppress(Exception):
        stream: Any = sys.__stdout__
        stream.flush()
    _say(f"error: {word}")


def _say(sentence: str) -> None:
    stream: Any = sys.__stderr__  # the main thread may have replaced sys.stderr while it parses arguments
    with contextlib.suppress(Exception):
        if stream.isatty():
            os.write(stream.fileno(), f"{_SHOW_CURSOR}\n".encode())
        stream.write(f"{sentence}\n")
        stream.flush()


_masks: list[Any] = []  # signal masks of threads that are forking


def _before_fork() -> None:
    """Blocks signals during a fork: the child shares the pipe, so an early signal to it would also end its parent."""
    _masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS) if _installed else None)


def _after_fork(*, is_child: bool) -> None:
    global _installed
    before = _masks.pop()
    if before is None:
        return
    if is_child:
        _installed = False
        _reactions.clear()
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            if signal.getsignal(number) is _left_to_the_thread:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=functools.partial(_after_fork, is_child=False),
        after_in_child=functools.partial(_after_fork, is_child=True),
    )


__all__ = ["at_end", "end", "install", "is_installed", "reacting", "unseen_by_children"]
