"""`transcribe` and `align`."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.checkpoints.buckets import Memory
from tests.tasks.recognizer.test_product import recognizer, sound
from tests.tiny import commands as tiny
from wavejax.audio.files import read_audio
from wavejax.checkpoints import export_params
from wavejax.checkpoints.urls import CACHE
from wavejax.data import embedded_corpus, prepare
from wavejax.data.alignments import read_alignments
from wavejax.decoding import build_ngrams
from wavejax.experiments.metadata import metadata
from wavejax.tasks.families import load
from wavejax.tasks.recognizer.language import OWN_NAME
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.recognizer.transcripts import aligned


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported causal recogniser of random parameters."""
    product = recognizer()
    return export_params(tmp_path_factory.mktemp("exports") / "listener", product.params, metadata(product.config, {}))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(2):
        soundfile.write(folder / f"say {number}.wav", sound(12_000, seed=number), 16_000)
    return folder


def text_of(listener: Path, recording: Path) -> str:
    waveform, _ = soundfile.read(recording, dtype="float32")
    return load(listener, kind=Recognizer).transcribe(waveform).text


def test_text_is_printed(run: Any, listener: Path, recordings: Path) -> None:
    one, two = sorted(recordings.iterdir())
    assert run("transcribe", listener, one).out == f"{text_of(listener, one)}\n"
    both = run("transcribe", listener, recordings)
    assert both.out == f"{one}: {text_of(listener, one)}\n{two}: {text_of(listener, two)}\n"
    printed = run("transcribe", listener, one, "--format", "json")
    assert json.loads(printed.out)["text"] == text_of(listener, one)


def test_files_are_written_once(run: Any, listener: Path, recordings: Path, tmp_path: Path) -> None:
    said = run("transcribe", listener, recordings, "--out", tmp_path, "--format", "srt")
    assert said.code == 0, said.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["say 0.srt", "say 1.srt"]
    (tmp_path / "say 0.srt").write_text("mine")
    (tmp_path / "say 1.srt").unlink()
    again = run("transcribe", listener, recordings, "--out", tmp_path, "--format", "srt")
    assert "say 0.srt is there already (--overwrite makes it again)" in again.out
    assert (tmp_path / "say 0.srt").read_text() == "mine"
    assert (tmp_path / "say 1.srt").exists()
    run("transcribe", listener, recordings, "--out", tmp_path, "--format", "srt", "--overwrite")
    assert "-->" in (tmp_path / "say 0.srt").read_text()


def test_one_broken_recording_does_not_stop_the_others(
    run: Any, listener: Path, recordings: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF and then nothing")
    said = run("transcribe", listener, tmp_path, *sorted(recordings.iterdir()), "--out", tmp_path / "texts")
    assert said.code == 1
    assert "broken.wav" in said.error
    assert sorted(path.name for path in (tmp_path / "texts").iterdir()) == ["say 0.txt", "say 1.txt"]


def test_what_is_wrong_is_said_in_a_sentence(run: Any, listener: Path, voice: Path, recordings: Path) -> None:
    folder = run("transcribe", listener, recordings, "--format", "vtt")
    assert (folder.code, "several recordings as vtt need a folder to go to: --out FOLDER" in folder.error) == (2, True)
    other = run("transcribe", voice, recordings)
    assert "is a vocoder, not a recognizer: use `wavejax vocode" in other.error
    assert (
        "is a recognizer, not a vocoder: use `wavejax transcribe"
        in run("vocode", listener, recordings, "--out", ".").error
    )
    assert "--stream and the input - belong together" in run("transcribe", listener, "-").error
    assert (
        "leave --out, --format, --beam, --lm and --hot-words out"
        in run("transcribe", listener, "-", "--stream", "--format", "srt").error
    )
    missing = run("transcribe", listener, "nowhere.wav")
    assert (missing.code, "nowhere.wav" in missing.error) == (1, True)


def test_a_stream_is_printed_as_it_is_heard(
    run: Any, listener: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, _ = soundfile.read(recordings / "say 0.wav", dtype="int16")
    source = io.TextIOWrapper(io.BytesIO(samples.astype("<i2").tobytes() + b"\x01"))  # and an odd byte
    monkeypatch.setattr("sys.stdin", source)
    said = run("transcribe", listener, "-", "--stream")
    assert said.code == 0, said.error
    assert said.out == f"{text_of(listener, recordings / 'say 0.wav')}\n"


def test_a_text_is_aligned(run: Any, listener: Path, recordings: Path, tmp_path: Path) -> None:
    recording = recordings / "say 0.wav"
    printed = run("align", listener, recording, "So be it.")
    content = json.loads(printed.out)
    assert [word["text"] for word in content["words"]] == ["so", "be", "it"]
    (tmp_path / "said.txt").write_text("So\nbe it.")
    target = tmp_path / "said.TextGrid"
    said = run("align", listener, recording, tmp_path / "said.txt", "--out", target, "--format", "textgrid")
    assert (said.code, "3 words of 0.75 s; the least sure one is" in said.out) == (0, True)
    assert 'text = "so"' in target.read_text()
    again = run("align", listener, recording, "So be it.", "--out", target)
    assert "said.TextGrid is there already: choose another name, or --overwrite" in again.error
    assert "is none of the 28 symbols" in run("align", listener, recording, "слово").error
    assert "the text is longer than what can be said" in run("align", listener, recording, "word " * 50).error


def test_a_corpus_is_aligned_and_a_stopped_run_goes_on(
    run: Any, listener: Path, recordings: Path, tmp_path: Path
) -> None:
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    shutil.copytree(recordings, source)
    for number, text in enumerate(("So be it.", "слово")):
        (source / f"say {number}.txt").write_text(text)
    prepare(source, corpus, progress=False, workers=1)
    said = run("align", listener, corpus)
    path = corpus / "alignments.jsonl"
    assert (said.code, said.out) == (0, f"{path}: 1 recordings aligned; 1 left out\n")
    assert "say 1 is left out: the character 'с'" in said.error
    (found,) = read_alignments(path).values()
    assert "".join(found.symbols) == "so be it"
    assert [word.text for word in found.words] == ["so", "be", "it"]
    alone = load(listener, kind=Recognizer).align(read_audio(recordings / "say 0.wav")[0], "So be it.")
    assert found.to_json() == aligned(alone, "say 0").to_json()
    before = path.stat()
    again = run("align", listener, corpus)
    assert "0 recordings aligned; 1 were there already; 1 left out" in again.out
    assert path.stat() == before
    assert "1 recordings aligned; 1 left out" in run("align", listener, corpus, "--overwrite").out
    assert "is a folder: a corpus has its own texts" in run("align", listener, corpus, "So be it.").error
    assert "the text of " in run("align", listener, recordings / "say 0.wav").error


def test_a_language_model_and_hot_words_change_the_text(
    run: Any, listener: Path, recordings: Path, tmp_path: Path
) -> None:
    recording = recordings / "say 0.wav"
    (tmp_path / "lines.txt").write_text("So be it.\nIt is so 2.\n")
    with_text = run("transcribe", listener, recording, "--lm", tmp_path / "lines.txt", "--lm-weight", "3")
    assert with_text.code == 0, with_text.error
    assert with_text.out != run("transcribe", listener, recording).out
    words = [line.split() for line in ("so be it", "it is so two")]
    (tmp_path / "lines.arpa").write_text(build_ngrams(words).to_arpa())
    arpa = run("transcribe", listener, recording, "--lm", tmp_path / "lines.arpa", "--lm-weight", "3")
    assert arpa.out == with_text.out
    (tmp_path / "damaged.arpa").write_text("\\data\\\nngram 1=x\n")
    damaged = run("transcribe", listener, recording, "--lm", tmp_path / "damaged.arpa")
    assert (damaged.code, "line 2 of" in damaged.error) == (1, True)
    assert "is none of the 28 symbols" in run("transcribe", listener, recording, "--hot-words", "слово").error
    assert run("transcribe", listener, recording, "--beam", "4", "--hot-words", "so").code == 0


def test_a_language_model_in_the_folder_is_used_if_nothing_else_is_asked(
    run: Any, listener: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording, own, lines = recordings / "say 0.wav", tmp_path / "own", tmp_path / "lines.txt"
    lines.write_text("So be it.\nIt is so 2.\n")
    shutil.copytree(listener, own)
    made = run("language-model", lines, "--out", own / OWN_NAME)
    assert made.code == 0, made.error
    told = run("transcribe", listener, recording, "--lm", own / OWN_NAME)
    greedy = run("transcribe", listener, recording)
    assert run("transcribe", own, recording).out == told.out != greedy.out
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    bucket = Memory(monkeypatch)
    bucket.fs.put(str(own), bucket.workdir, recursive=True)
    assert run("transcribe", bucket.workdir, recording).out == told.out, "of a folder in a bucket, too"
    assert run("transcribe", own, recording, "--beam", "0").out == greedy.out
    both = run("transcribe", own, recording, "--beam", "0", "--lm", lines)
    assert (both.code, "--beam 0 reads words as they sound" in both.error) == (2, True)
    product, waveform = load(own, kind=Recognizer), read_audio(recording)[0]
    assert f"{product.transcribe(waveform).text}\n" == told.out
    assert f"{product.transcribe_greedily(waveform).text}\n" == greedy.out
    judged = run("evaluate", own, "--split", "validation", "--at-most", "1")
    assert judged.code == 0, judged.error
    assert f"beam 16, {OWN_NAME}: weight 0.7, word bonus 1, new word -12" in judged.out
    tiny_corpus = embedded_corpus()
    held_out = max((tiny_corpus.entries[place].transcript for place in tiny_corpus.indices("validation")), key=len)
    lines.write_text(f"{held_out}\n")
    assert run("language-model", lines, "--out", own / OWN_NAME, "--overwrite").code == 0
    knowing = run("evaluate", own, "--split", "validation", "--at-most", "1")
    assert knowing.code == 0, knowing.error
    assert f"not used: {own / OWN_NAME} knows 1 of the sentences that are judged" in knowing.out
    assert "beam 16" not in knowing.out
    (own / OWN_NAME).write_bytes(b"no archive")
    damaged = run("transcribe", own, recording)
    assert (damaged.code, damaged.error.count("\n"), "cannot be unpacked" in damaged.error) == (1, 1, True)


def test_a_model_is_judged(run: Any, listener: Path, tmp_path: Path) -> None:
    said = run(
        *("evaluate", listener, "--corpus", "embedded", "--split", "validation", "--at-most", "2"),
        *("--conditions", "telephone", "--output", tmp_path),
    )
    assert said.code == 0, said.error
    assert "letter error" in said.out
    assert "telephone       letters" in said.out
    assert (tmp_path / "index.html").exists()
    assert load(listener, kind=Recognizer).sample_rate == tiny.RATE


def test_a_model_is_judged_with_a_language_model_and_on_another_voice(
    run: Any, listener: Path, recordings: Path, tmp_path: Path
) -> None:
    voice, lines = tmp_path / "june", tmp_path / "lines.txt"
    shutil.copytree(recordings, voice)
    (voice / "say 0.txt").write_text("So be it, said the old king.")
    lines.write_text("So be it.\nIt is so 2.\n")
    given = ("evaluate", listener, "--split", "validation", "--at-most", "2", "--voices", voice, "--lm", lines)
    said = run(*given, "--conditions", "room", "--beam", "4", "--json", tmp_path / "found.json")
    assert said.code == 0, said.error
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found["conditions"]) == {"room", "another voice: june"}
    assert set(found["others"]["beam 4, lines.txt"]) == {"recordings", "room", "another voice: june"}
    assert "another voice: june" in said.out
    assert "beam 4, lines.txt: weight 0.7, word bonus 1, new word -12" in said.out
    lines.write_text("So be it, said the old king.\n")
    told = run(*given)
    assert (told.code, told.error.count("\n")) == (1, 1)
    assert "'so be it said the old king' of another voice: june" in told.error
    twice = run("evaluate", listener, "--voices", voice, tmp_path / "other" / "june")
    assert "two folders of --voices are called 'june'" in twice.error
