"""A store of sealed files: what was put is returned or nothing is, and the folder stays small and may be refused."""

import errno
import logging
import multiprocessing
import os
import time
from pathlib import Path

from wavejax.caching import CACHE, SealedStore, cache_root


def store_in(root: Path, section: str = "one", *, max_bytes: int = 10_000) -> SealedStore:
    return SealedStore(root, section, max_bytes=max_bytes)


def names_below(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_file()}


def grow_old(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_what_was_put_comes_back_and_a_later_value_replaces_it(tmp_path):
    store = store_in(tmp_path)
    assert store.get("a") is None
    store.put("a", b"first")
    store.put("b", b"")
    assert (store.get("a"), store.get("b")) == (b"first", b"")
    store.put("a", b"second")
    assert store_in(tmp_path).get("a") == b"second"
    assert names_below(tmp_path) == {"a", "b"}


def test_another_section_is_never_read(tmp_path):
    store_in(tmp_path, "jax 1").put("a", b"of version 1")
    assert store_in(tmp_path, "jax 2").get("a") is None


def test_a_flipped_bit_anywhere_is_noticed_and_the_file_removed(tmp_path):
    store = store_in(tmp_path)
    for position in range(32 + len(b"machine code")):
        store.put("a", b"machine code")
        data = bytearray((tmp_path / "one/a").read_bytes())
        data[position] ^= 1 << position % 8
        (tmp_path / "one/a").write_bytes(data)
        assert store.get("a") is None
        assert not (tmp_path / "one/a").exists()


def test_a_torn_or_lengthened_file_is_noticed(tmp_path):
    store = store_in(tmp_path)
    store.put("a", b"machine code")
    whole = (tmp_path / "one/a").read_bytes()
    for torn in [*(whole[:size] for size in range(len(whole))), whole + b"\0"]:
        (tmp_path / "one/a").write_bytes(torn)
        assert store.get("a") is None


def test_a_sound_file_under_another_name_is_not_taken_for_it(tmp_path):
    store = store_in(tmp_path)
    store.put("a", b"machine code")
    (tmp_path / "one/a").rename(tmp_path / "one/b")
    assert store.get("b") is None


def test_the_least_recently_used_goes_when_the_bound_is_reached(tmp_path):
    store = store_in(tmp_path, max_bytes=3 * 132)
    for age, name in enumerate(("used", "old", "young")):
        store.put(name, bytes(100))
        grow_old(tmp_path / "one" / name, 1000 - age)
    assert store.get("used") is not None
    store.put("new", bytes(100))
    assert names_below(tmp_path) == {"used", "young", "new"}


def test_other_versions_count_and_go_first_when_they_are_older(tmp_path):
    store_in(tmp_path, "jax 1").put("a", bytes(100))
    grow_old(tmp_path / "jax 1/a", 10)
    store_in(tmp_path, "jax 2", max_bytes=200).put("b", bytes(100))
    assert names_below(tmp_path) == {"b"}
    assert not (tmp_path / "jax 1").exists()


def test_what_nobody_has_used_for_a_season_goes_and_so_does_what_a_killed_process_left(tmp_path):
    store = store_in(tmp_path)
    store.put("a", b"")
    grow_old(tmp_path / "one/a", 91 * 86400)
    for name, age in ((".0123456789ab.partial", 7200), (".ba9876543210.partial", 5)):
        (tmp_path / "one" / name).write_bytes(b"half")
        grow_old(tmp_path / "one" / name, age)
    store_in(tmp_path).put("b", b"")
    assert names_below(tmp_path) == {"b", ".ba9876543210.partial"}


def test_what_is_larger_than_the_bound_is_not_kept_and_drives_nothing_out(tmp_path):
    store = store_in(tmp_path, max_bytes=200)
    store.put("a", bytes(100))
    store.put("b", bytes(300))
    assert names_below(tmp_path) == {"a"}


def test_the_bound_holds_over_many_writes(tmp_path):
    store = store_in(tmp_path, max_bytes=2_000)
    for number in range(100):
        store.put(f"{number}", bytes(number % 7 * 50))
        held = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
        assert held <= 2_000


def test_a_folder_that_cannot_be_written_is_told_once_and_reading_goes_on(tmp_path, monkeypatch, caplog):
    store = store_in(tmp_path)
    store.put("a", b"kept")

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with caplog.at_level(logging.INFO):
        store.put("b", b"lost")
        store.put("c", b"lost")
    assert len(caplog.records) == 1
    assert "No space left on device; it is compiled again each time (set WAVEJAX_CACHE" in caplog.text
    assert store.get("a") == b"kept"
    assert names_below(tmp_path) == {"a"}


def test_a_file_where_the_folder_should_be_is_no_error(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = store_in(tmp_path / "file")
    assert store.get("a") is None
    store.put("a", b"lost")
    assert "cannot be kept in" in caplog.text


def _hammer(root: str, worker: int) -> None:
    store = store_in(Path(root), max_bytes=3_000)
    for turn in range(150):
        name = f"{(turn * 7 + worker) % 10}"
        value = store.get(name)
        if value is not None and value != name.encode() * 40:
            raise AssertionError(f"{name} came back as {value!r}")
        store.put(name, name.encode() * 40)


def test_several_processes_share_a_folder_that_is_too_small_for_them(tmp_path, caplog):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_hammer, args=(str(tmp_path), worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert not [name for name in names_below(tmp_path) if name.endswith(".partial")]


def test_the_folder_is_the_variable_s_or_in_the_user_s_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
    monkeypatch.delenv(CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_root() == tmp_path / "x" / "wavejax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root() == tmp_path / "home/.cache/wavejax"
