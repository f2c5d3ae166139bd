"""scripts/english_sentences, from files that look like those it downloads."""

import dataclasses
import hashlib
import importlib.machinery
import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "english_sentences"
PROMPTS = """<language><en><ascii>
<prompt phrase="Press  pound" filename="1.wav"/><prompt phrase="Press pound"/><prompt/>
</ascii></en></language>
"""
TAGGED = """I_PRP did_VBD n't_RB see_VB it_PRP 's_VBZ on_IN ._.

hm_UH
A_DT snake_case_NN word_NN ._.
A_DT snake_case_NN word_NN ._.
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    loader = importlib.machinery.SourceFileLoader("english_sentences", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("english_sentences", loader))
    monkeypatch.setitem(sys.modules, "english_sentences", module)  # dataclasses look their module up
    loader.exec_module(module)
    with zipfile.ZipFile(tmp_path / "masc_tagged.zip", "w") as files:
        files.writestr("masc_tagged/categories.txt", "no sentence of the corpus\n")
        files.writestr("masc_tagged/spoken/one.txt", TAGGED)
    (tmp_path / "phrase_en.xml").write_text(PROMPTS)
    for name in ("MASC", "PROMPTS"):
        source = getattr(module, name)
        digest = hashlib.sha256((tmp_path / Path(source.path).name).read_bytes()).hexdigest()
        monkeypatch.setattr(module, name, dataclasses.replace(source, digest=digest))
    monkeypatch.setattr(module, "unpacked_wordnet", lambda packages, scratch: packages)
    monkeypatch.setattr(module, "wordnet_examples", lambda root: ["an example"])
    return module


def ran(script, monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["english_sentences", *map(str, arguments)])
    return script.main()


def test_sentences_and_prompts_are_lines_of_text(script, tmp_path, monkeypatch, capsys):
    out, prompts = tmp_path / "lines.txt", tmp_path / "prompts.txt"
    assert ran(script, monkeypatch, out, "--prompts", prompts, "--packages", tmp_path) == 0
    assert out.read_text() == "an example\nI didn't see it's on .\nA snake_case word .\n"
    assert prompts.read_text() == "Press pound\n"
    assert capsys.readouterr().out == f"{out}: 3 sentences, 12 words\n{prompts}: 1 sentences, 2 words\n"


def test_what_is_downloaded_is_listed(script, tmp_path, monkeypatch, capsys):
    assert ran(script, monkeypatch, "--list") == 0
    package, masc, prompts = capsys.readouterr().out.splitlines()
    assert package.startswith("wordnet-base")
    assert masc.startswith("https://raw.githubusercontent.com/nltk/nltk_data/")
    assert prompts.endswith("/docs/phrase/phrase_en.xml")


def test_another_file_is_refused_and_nothing_is_written(script, tmp_path, monkeypatch, capsys):
    (tmp_path / "phrase_en.xml").write_text(PROMPTS.replace("pound", "star"))
    out, prompts = tmp_path / "lines.txt", tmp_path / "prompts.txt"
    assert ran(script, monkeypatch, out, "--prompts", prompts, "--packages", tmp_path) == 1
    assert "phrase_en.xml is not the file that was expected: download https://" in capsys.readouterr().err
    (tmp_path / "masc_tagged.zip").unlink()
    assert ran(script, monkeypatch, out, "--packages", tmp_path) == 1
    assert "masc_tagged.zip cannot be had" in capsys.readouterr().err
    assert not out.exists()
    assert not prompts.exists()


MANUAL = """---
title: What It Is About
---
# How to Dial

You dial a number. Then [the exchange](https://example.org) answers (it may take\na while), and **you** talk!
See `dial.conf` for more. Code is left out:

```
exten => 100
```

* Press the star key
+ too short
| a table | of words |

    indented code is no sentence
"""


def test_a_manual_is_read_without_its_code_and_tables(script, tmp_path, monkeypatch, capsys):
    manual = tmp_path / "manual"
    (manual / "deep").mkdir(parents=True)
    (manual / "deep" / "a.md").write_text(MANUAL, encoding="utf-8")
    (manual / "b.md").write_text("You dial a number.\n", encoding="utf-8")
    out = tmp_path / "sentences.txt"
    assert ran(script, monkeypatch, out, "--packages", tmp_path, "--manual", manual) == 0
    assert out.read_text().splitlines()[3:] == [
        "You dial a number.",
        "How to Dial",
        "Then the exchange answers ,it may take a while,, and you talk!",
        "Code is left out:",
        "Press the star key",
    ]
    assert ran(script, monkeypatch, out, "--packages", tmp_path, "--manual", tmp_path / "none") == 1
    assert "none has no Markdown files (*.md) with sentences" in capsys.readouterr().err
