"""The folder that a demo writes to: its own, and nobody else's."""

from pathlib import Path

MARK = "wavejax-demo"


def open_folder(out: Path) -> None:
    """Makes the folder and marks it as the demo's, which replaces what is in it.

    Ends the program where it holds anything and has no mark: the files in it, a training in `run/` say, are not ours.
    """
    if out.exists() and not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise SystemExit(
            f"error: {out} is there and was not made by a demo, so nothing in it is replaced: choose another folder "
            "with --out, or remove it"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("Written by scripts/demo, which replaces what is in this folder.\n", encoding="utf-8")
