"""A number that cannot be meant is refused with the range that can, by every command and before anything is opened."""

import re

import pytest

OPTIONS = {
    ("generate", "babble", "a.wav"): {
        "--seconds": "above 0 and at most 43200 (12 hours",
        "--temperature": "at least 0 and at most 10",
    },
    ("vocode", "allison", "a.wav", "--out", "o"): {
        "--temperature": "at least 0 and at most 10",
        "--probability-floor": "at least 0 and below 0.5",
        "--folds": "at least 1 and at most 1000",
    },
    ("play", "piano", "C4", "--out", "o"): {
        "--seconds": "above 0 and at most 60 (by then a string has rung out)",
        "--every": "above 0 and at most 60",
        "--takes": "at least 1 and at most 32768",
        "--temperature": "at least 0 and at most 10",
    },
    ("compose", "chorales", "--out", "tune"): {
        "--bars": "at least 1 and at most 4096",
        "--tempo": "at least 1 and at most 1000",
        "--temperature": "at least 0 and at most 10",
    },
    ("prepare", "source", "corpus"): {
        "--min-seconds": "at least 0 and at most 3600",
        "--validation": "at least 0 and below 1",
        "--test": "at least 0 and below 1",
        "--workers": "at least 1 and at most 1024",
    },
    ("checkpoints", "prune", "run"): {"--keep-last": "at least 1", "--keep-every": "at least 1"},
    ("checkpoints", "verify", "run"): {"--step": "at least 0"},
    ("export-params", "run", "voice"): {"--step": "at least 0", "--temperature": "at least 0 and at most 10"},
    ("evaluate-speakers", "run", "--corpus", "corpus"): {
        "--seeds": "at least 0 and at most 1000",
        "--seconds": "at least 1 and at most 600",
        "--at-most": "at least 0",
        "--batch-size": "at least 1 and at most 1048576",
        "--temperature": "at least 0 and at most 10",
    },
    ("compile", "r9y9-mol", "--topology", "v5e:2x4"): {"--rows-per-device": "at least 1 and at most 1048576"},
    ("train", "speech-16k-small", "--workdir", "run"): {
        "--restarts": "at least 0 and at most 1000000",
        "--hang-minutes": "above 0 and at most 525600 (a year)",
        "--compile-minutes": "above 0 and at most 525600 (a year)",
        "--num-processes": "at least 1 and at most 65536",
        "--process-id": "at least 0 and below 65536",
        "--overfit-batches": "at least 0",
        "--training.num-steps": "at least 1 and at most 2147483647",
        "--training.batch-size": "at least 1 and at most 1048576",
        "--training.accumulation-steps": "at least 1",
        "--training.seed": "at least 0 and at most 9223372036854775807",
        "--training.ema-decay": "at least 0 and below 1",
        "--training.max-minutes": "at least 0",
        "--training.log-every": "at least 1",
        "--training.validate-every": "at least 0",
        "--training.exhibit-every": "at least 0",
        "--training.checkpoint-every": "at least 1",
        "--training.keep-last": "at least 2",
        "--training.keep-every": "at least 0",
        "--training.overfit-batches": "at least 0",
        "--training.audio-seconds": "at least 0 and at most 600",
        "--data.num-threads": "at least 0 and at most 1024",
        "--data.crop-length": "at least 1 and at most 16777216",
        "--optimizer.learning-rate": "above 0 and at most 1000",
    },
    ("evaluate", "allison"): {
        "--temperature": "at least 0 and at most 10",
        "--seeds": "at least 0 and at most 1000",
        "--at-most": "at least 0",
        "--batch-size": "at least 1 and at most 1048576",
    },
    ("doctor", "allison"): {"--seconds": "above 0 and at most 600"},
}
CASES = [(command, option, said) for command, options in OPTIONS.items() for option, said in options.items()]


FRACTIONS = ("seconds", "temperature", "floor", "--every", "--validation", "--test", "minutes", "decay", "rate")
"""Endings of options that take fractions."""


@pytest.mark.parametrize(("command", "option", "said"), CASES, ids=[f"{each[0][0]} {each[1]}" for each in CASES])
def test_a_number_that_cannot_be_meant_is_refused(run, monkeypatch, tmp_path, command, option, said):
    monkeypatch.chdir(tmp_path)
    takes_fractions = option.endswith(FRACTIONS)
    numbers = ["-1", *(["nan"] if takes_fractions else [])]
    if " at most" in said or " below" in said:
        numbers.append("1e12" if takes_fractions else "9" * 20)
    elif takes_fractions:
        numbers.append("inf")
    if command[0] in ("evaluate", "doctor", "compile"):
        numbers = numbers[-1:]  # these are slow to begin
    needed = ["--keep-last=3"] if option == "--keep-every" else []
    for number in numbers:
        done = run(*command, *needed, f"{option}={number}")
        assert done.code == 2, done
        name = option.removeprefix("--").replace("-", "_").replace("optimizer.", "")
        spelt = rf"({re.escape(option)}|{re.escape(name)}(=\S+)?) must be {re.escape(said)}"
        assert re.search(spelt, done.error), done.error
    assert not list(tmp_path.iterdir())
