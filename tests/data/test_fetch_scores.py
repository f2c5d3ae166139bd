"""scripts/fetch_scores, on a small imitation of the package it reads."""

import hashlib
import io
import sys
import types
import zipfile
from fractions import Fraction
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from wavejax.data.prepare_scores import prepare_scores
from wavejax.data.scores import Score

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fetch_scores"
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@pytest.fixture
def script(monkeypatch):
    loader = SourceFileLoader("fetch_scores", str(SCRIPT))  # a script has no suffix by which it could be imported
    module = types.ModuleType(loader.name)
    loader.exec_module(module)
    return module


def measure(*notes: str, attributes: str = "") -> str:
    """A measure of notes such as "G4 4" (quarters of quarter notes), "rest 4", "G4 4 start" (of a tie)."""
    parts = []
    for each in notes:
        name, duration, *more = each.split()
        pitch = f"<pitch><step>{name[0]}</step><octave>{name[-1]}</octave></pitch>"
        alter = "<alter>1</alter>" if "#" in name else ""
        pitch = "<rest/>" if name == "rest" else pitch.replace("</step>", f"</step>{alter}")
        chord = "<chord/>" if "chord" in more else ""
        ties = "".join(f'<tie type="{kind}"/>' for kind in more if kind in ("start", "stop"))
        duration = f"<duration>{duration}</duration>"
        before, after = ("<grace/>", "") if "grace" in more else ("", duration)
        parts.append(f"<note>{before}{chord}{pitch}{after}{ties}</note>")
    return f"<measure>{attributes}{''.join(parts)}</measure>"


ATTRIBUTES = (
    "<attributes><divisions>4</divisions><key><fifths>1</fifths><mode>major</mode></key>"
    "<time><beats>3</beats><beat-type>4</beat-type></time></attributes>"
)


def chorale(names=("Soprano", "Alto", "Tenor", "Bass"), high: int = 5) -> bytes:
    """An upbeat and five bars in 3/4 of each part."""
    listed = "".join(f'<score-part id="{n}"><part-name>{name}</part-name></score-part>' for n, name in enumerate(names))
    parts = []
    for n in range(len(names)):
        octave = high - n
        bars = measure(f"G{octave} 4", attributes=ATTRIBUTES)
        bars += measure(f"A{octave} 2", f"C{octave} 9 grace", f"B{octave} 2", f"C#{octave} 8 start")
        bars += measure(f"C#{octave} 8 stop", "rest 4")
        bars += measure(*[f"D{octave} 4"] * 3) * 3
        parts.append(f'<part id="{n}">{bars}</part>')
    credit = "<credit><credit-words>PDF © 2004 Margaret Greentree</credit-words></credit>"
    return f"<score-partwise>{credit}<part-list>{listed}</part-list>{''.join(parts)}</score-partwise>".encode()


def mxl(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("score.xml", data)
    return stream.getvalue()


ABC = """X: 1
T: The Test
M: 6/8
L: 1/8
Z: "Transcribed by A. Tester"
K: D
d | f2e {c}dcB | (3ABc d>e "A7" f/2e/2 | =f=c'C, ^g-g2 :|
X: 2
T: Too short
K: C
CDE |
X: 3
M: 2/4
T: Endings
K: Em
EFGA | BcBA |1 GGGG :|2 EEEE | [K:C] FFFF |]
"""


def wheel(folder: Path) -> Path:
    path = folder / "music21.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("music21/corpus/license.txt", "as it is")
        archive.writestr("music21/corpus/bach/bwv1.mxl", mxl(chorale()))
        archive.writestr("music21/corpus/bach/bwv2.mxl", mxl(chorale(high=6)))
        archive.writestr(
            "music21/corpus/bach/bwv3.mxl", mxl(chorale(("Violin", "Soprano", "Alto", "Tenor", "Bass"), 6))
        )
        archive.writestr("music21/corpus/bach/bwv846.mxl", mxl(chorale(("Piano",))))
        archive.writestr("music21/corpus/bach/bwv900.mxl", b"junk")
        archive.writestr("music21/corpus/essenFolksong/han.abc", ABC)
        archive.writestr("music21/corpus/oneills1850/0001-0050.abc", ABC)
    return path


def run(script, monkeypatch, *arguments: object, archive: Path) -> int:
    monkeypatch.setattr(script, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(sys, "argv", ["fetch_scores", *map(str, arguments), "--package", str(archive)])
    return script.main()


def test_chorales_become_midi_files_with_their_licences(script, monkeypatch, capsys, tmp_path) -> None:
    assert run(script, monkeypatch, "chorales", tmp_path, archive=wheel(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "chorales: 3 pieces" in said
    assert "skipped bwv846: has the parts Piano" in said
    assert "skipped bwv900: File is not a zip file" in said
    score = Score.from_midi(tmp_path / "chorales" / "bwv1.mid")
    assert [track.name for track in score.tracks] == ["soprano", "alto", "tenor", "bass"]
    assert (score.metre, score.key, score.title) == ((3, 4), "G major", "BWV 1")
    # The upbeat stands at the end of a bar: eight steps of silence complete it.
    assert [note[:3] for note in score.tracks[0].notes][:5] == [
        (8, 12, 79),
        (12, 14, 81),
        (14, 16, 83),
        (16, 32, 73),
        (36, 40, 74),
    ]
    rows = (tmp_path / "chorales" / "LICENCES.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1].startswith("bwv1|J. S. Bach, BWV 1, public domain|PDF © 2004 Margaret Greentree|distributed in")
    assert (tmp_path / "chorales" / "LICENCE.txt").read_text() == "as it is"
    splits = dict(line.split("|") for line in (tmp_path / "chorales" / "splits.csv").read_text().splitlines())
    assert splits["bwv1"] == splits["bwv2"] == splits["bwv3"]  # the same notes, an octave apart
    report = prepare_scores(tmp_path / "chorales", tmp_path / "corpus", progress=False)
    assert [piece.name for piece in report.corpus.pieces(splits["bwv1"])] == ["bwv1", "bwv2", "bwv3"]
    assert not report.unvoiced


def test_folk_tunes_are_read_as_they_are_written(script, monkeypatch, capsys, tmp_path) -> None:
    assert run(script, monkeypatch, "folk-tunes", tmp_path, archive=wheel(tmp_path)) == 0
    assert "skipped oneills1850-0001-0050-2: has 3 notes, too few to be a tune" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "folk-tunes").glob("*.mid")) == [
        "oneills1850-0001-0050-1.mid",
        "oneills1850-0001-0050-3.mid",
    ]  # and none of the Essen folk songs, whose use is restricted
    tune = script._Tune(ABC.split("X: 2")[0])
    assert (tune.metre, tune.key, tune.pad) == ((6, 8), "D major", Fraction(5, 2))
    lengths = [float(end - start) for start, end, _ in tune.notes()]
    third = float(Fraction(1, 3))
    assert lengths == [0.5, 1, 0.5, 0.5, 0.5, 0.5, third, third, third, 0.75, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 1.5]
    pitches = [pitch for _, _, pitch in tune.notes()]
    assert pitches == [74, 78, 76, 74, 73, 71, 69, 71, 73, 74, 76, 78, 76, 77, 84, 49, 80]
    played = [pitch for _, _, pitch in script._Tune(ABC.split("X: 3")[1]).notes()]
    assert played == [64, 66, 67, 69, 71, 72, 71, 69, 64, 64, 64, 64, 65, 65, 65, 65]  # the second ending alone


@pytest.mark.parametrize(
    ("key", "name", "sharps"),
    [("G", "G major", {"F": 1}), ("Dm", "D minor", {"B": -1}), ("A Mix", None, {"F": 1, "C": 1}), ("Edor", None, None)],
)
def test_keys_of_abc(script, key, name, sharps) -> None:
    tune = script._Tune(f"K:{key}\n")
    assert tune.key == name
    if sharps is not None:
        assert tune._sharps == sharps


def test_another_package_is_refused_before_it_is_opened(script, monkeypatch, capsys, tmp_path) -> None:
    archive = wheel(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fetch_scores", str(tmp_path / "out"), "--package", str(archive)])
    assert script.main() == 1
    assert "is not music21 10.5.1: its SHA-256 is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(sys, "argv", ["fetch_scores", "chorals", str(tmp_path / "out")])
    assert script.main() == 2
    assert "unknown collection 'chorals'. There are chorales, folk-tunes" in capsys.readouterr().err
    (tmp_path / "out" / "chorales").mkdir(parents=True)
    (tmp_path / "out" / "folk-tunes").mkdir()
    assert run(script, monkeypatch, tmp_path / "out", archive=archive) == 0
    assert "exists, skipped (remove it to fetch it again)" in capsys.readouterr().out
