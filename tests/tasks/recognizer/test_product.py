"""A recogniser: text, times, streams, and what it refuses."""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import numpy as np
import pytest

from tests.tasks.recognizer.test_data import aligned as aligned_phones
from tests.tasks.recognizer.test_data import corpus as silent_corpus
from tests.tiny.models import cheap_jit
from tests.tiny.recognizers import tiny_deep_speech, tiny_recognizer
from wavejax.decoding import Search, greedy
from wavejax.experiments.metadata import ExperimentError
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.tasks.recognizer.config import in_language
from wavejax.tasks.recognizer.data import RecognizerData
from wavejax.tasks.recognizer.evaluation import diagnose, judge_recognizer
from wavejax.tasks.recognizer.features import features_of
from wavejax.tasks.recognizer.product import Recognizer, pauses, program_size
from wavejax.tasks.recognizer.streaming import StreamedFeatures
from wavejax.text import TextError, get_text_spec


@functools.cache
def recognizer(name: str = "listener-16k-causal") -> Recognizer:
    """Initial parameters with a larger last layer, so that it reads something, spaces among it."""
    config: Any = tiny_recognizer(name) if name.startswith("listener") else tiny_deep_speech()
    drawn = cheap_jit(lambda: initial_recognizer_params(config.model.build(), jax.random.key(3)))()
    params = jax.tree.map(np.array, drawn)
    params["output_kernel"] *= 2
    params["output_bias"][config.text.space] += 5
    return Recognizer(config=config, params=params)


def sound(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    level = np.repeat(np.exp(rng.uniform(-6, -1, -(-samples // 800))), 800)[:samples]
    return (level * rng.normal(size=samples)).clip(-1, 1).astype(np.float32)


def test_features_of_a_stream_are_those_of_the_whole() -> None:
    spec, waveform = recognizer().config.spec, sound(9_137)
    whole = features_of(waveform, spec)
    rng = np.random.default_rng(0)
    for sizes in (iter(lambda: 160, None), iter(lambda: int(rng.integers(0, 900)), None), iter(lambda: 5000, None)):
        streamed, first, parts = StreamedFeatures(spec), 0, []
        while first < len(waveform):
            size = next(sizes)
            parts.append(streamed.push(waveform[first : first + size]))
            first += size
        delay = spec.n_fft - spec.pad_left - spec.hop_length
        assert sum(map(len, parts)) >= (len(waveform) - delay) // spec.hop_length - 1, (
            "each frame as soon as it is sure"
        )
        np.testing.assert_array_equal(np.concatenate([*parts, streamed.end()]), whole)
    empty = StreamedFeatures(spec)
    assert empty.push(np.zeros(0, np.float32)).shape == empty.end().shape == (0, 80)


def test_a_stream_is_read_as_the_whole() -> None:
    listener, waveform = recognizer(), sound(21_001)
    whole = listener.transcribe(waveform)
    assert len(whole.words) > 1, "or this shows nothing"
    heard = list(listener.stream(waveform[first : first + 1234] for first in range(0, len(waveform), 1234)))
    assert heard[-1].is_last
    assert (heard[-1].text, heard[-1].partial) == (whole.text, "")
    assert not any(each.is_last for each in heard[:-1])
    for before, after in itertools.pairwise(heard):
        assert after.final.startswith(before.final), "what is final stays"
        assert after.text.startswith(before.text), "and a word only grows"
    assert heard[len(heard) // 2].text
    in_16_bits = list(listener.stream([np.round(waveform * 32767).astype(np.int16)]))
    assert in_16_bits[-1].is_last


def test_words_have_times_and_confidences() -> None:
    listener, waveform = recognizer("listener-16k"), sound(16_000)
    transcript = listener.transcribe(waveform)
    assert transcript.duration == 1.0
    assert str(transcript) == transcript.text == " ".join(word.text for word in transcript.words)
    at = 0.0
    for word in transcript.words:
        assert at <= word.start < word.end <= 1.0
        assert 0 < word.confidence <= 1
        assert "".join(symbol.text for symbol in word.symbols) == word.text
        assert (word.symbols[0].start, word.symbols[-1].end) == (word.start, word.end)
        at = word.end
    content = transcript.to_json()
    assert content["text"] == transcript.text
    assert len(content["words"]) == len(transcript.words)


@pytest.mark.parametrize("name", ["listener-16k", "deep-speech"])
def test_a_known_text_is_laid_on_its_recording(name: str) -> None:
    listener, waveform = recognizer(name), sound(16_000)
    found = listener.align(waveform, "So, 2 be!")
    assert found.text == "so two be"
    starts = [symbol.start for word in found.words for symbol in word.symbols]
    assert starts == sorted(starts)
    assert len(set(starts)) == 7, "one after the other"
    read = listener.transcribe(waveform)
    if read.text:
        own = listener.align(waveform, read.text)
        assert own.text == read.text
    with pytest.raises(
        ExperimentError, match=r"labels need at least \d+ frames, but there are \d+: the text is longer"
    ):
        listener.align(waveform, "a very long text " * 10)
    with pytest.raises(ExperimentError, match="holds no words"):
        listener.align(waveform, "[beep]")
    with pytest.raises(TextError, match="none of the 28 symbols of the text spec 'letters-en'"):
        listener.align(waveform, "привет")


def test_there_are_other_texts_with_their_scores_and_hot_words_change_them() -> None:
    listener, waveform = recognizer("listener-16k"), sound(16_000)
    found = listener.alternatives(waveform, num_best=4)
    assert len({text for text, _ in found}) == 4
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert listener.transcribe(waveform, Search()).text == found[0][0]
    wanted = next(word for text, _ in found[1:] for word in text.split() if word not in found[0][0].split())
    hot = listener.transcribe(waveform, Search(hot_words=(wanted,), hot_bonus=50.0))
    assert wanted in hot.text.split()
    assert all(0 < word.confidence <= 1 for word in hot.words)


@functools.cache
def phoner() -> Recognizer:
    """The causal recogniser with phones for letters."""
    letters = recognizer()
    config = in_language(letters.config, get_text_spec("phonemes-ru"))
    drawn = cheap_jit(lambda: initial_recognizer_params(config.model.build(), jax.random.key(3)))()
    params = jax.tree.map(np.array, drawn)
    params["output_kernel"] *= 2
    params["output_bias"][config.text.space] += 8
    return Recognizer(config=config, params=params)


def test_phones_have_spaces_between_them_and_bars_between_pauses() -> None:
    listener, waveform = phoner(), sound(21_001)
    whole = listener.transcribe(waveform)
    assert " | " in whole.text
    assert whole.text.replace(" | ", " ").split() == [symbol.text for symbol in whole.symbols]
    assert listener.text.decode(listener.text.encode(whole.text)) == whole.text
    heard = list(listener.stream(waveform[first : first + 1234] for first in range(0, len(waveform), 1234)))
    assert heard[-1].text == whole.text
    assert listener.align(waveform, "d aa | n ee t").text == "d aa | n ee t"
    with pytest.raises(TextError, match="language model and hot words are made of words, but the text spec 'phonemes"):
        listener.transcribe(waveform, Search(hot_words=("d",)))


def test_phones_and_their_borders_are_judged_by_the_alignments() -> None:
    listener = phoner()
    aligned = {each.id: each for each in (aligned_phones("u0", "d", "aa"), aligned_phones("u1", "n", "ee", "t"))}
    data = RecognizerData(listener.config, silent_corpus("да", "нет", "не знаю"), aligned)
    report = judge_recognizer(listener, data, "train", conditions=("telephone",))
    assert [reading.said for reading in report.readings] == ["d aa", "n ee t"]
    assert report.phonemic
    assert report.boundaries is not None
    assert report.boundaries.borders == 5
    assert report.facts["recordings"] == "2 of train of the corpus; 1 without a text that it could write"
    assert [reading.id for reading in report.conditions["telephone"]] == ["u0", "u1"]
    own = listener.align(np.zeros(16_000, np.float32), "n ee t")
    apart = [abs(symbol.start - 0.1 * place) for place, symbol in enumerate(own.symbols)]
    assert report.boundaries.median <= max(0.2, *apart)


def test_nothing_is_read_in_no_sound() -> None:
    listener = recognizer("listener-16k")
    for samples in (0, 10):
        assert listener.transcribe(np.zeros(samples, np.float32)).text == ""
    assert [heard.text for heard in recognizer().stream([])] == [""]


def test_a_long_recording_is_read_in_pieces_that_are_cut_where_it_is_quiet() -> None:
    listener = recognizer("listener-16k")
    spec, rate = listener.config.spec, listener.sample_rate
    longest = listener.config.buckets[-1].num_frames / spec.frame_rate
    parts = [sound(round(0.7 * longest * rate), seed=seed) for seed in range(3)]
    pause = np.zeros(rate // 2, np.float32)
    whole = np.concatenate([parts[0], pause, parts[1], pause, parts[2]])
    features = listener.features(whole)
    cuts = listener.cuts(features)
    assert np.diff([0, *cuts, len(features)]).max() <= longest * spec.frame_rate
    assert all(cut % listener.config.model.subsampling == 0 for cut in cuts)
    ends = [len(parts[0]) / rate, (len(parts[0]) + len(pause) + len(parts[1])) / rate]
    assert all(0 < cut / spec.frame_rate - end < 0.5 for cut, end in zip(cuts, ends, strict=True))
    read = listener.transcribe(whole)
    alone = [
        listener.text.decode([spike.label for spike in greedy(listener.log_probs(piece))])
        for piece in np.split(features, cuts)
    ]
    assert read.text.split() == " ".join(alone).split()
    assert np.allclose(np.logaddexp.reduce(listener.log_probs(features), axis=1), 0, atol=1e-4)
    assert read.words[-1].end > 0.8 * len(whole) / rate
    assert [word.text for word in listener.align(whole, "so be it").words] == ["so", "be", "it"]
    streaming = recognizer()
    assert streaming.cuts(features) == []
    assert list(streaming.stream(np.array_split(whole, 7)))[-1].text == streaming.transcribe(whole).text


def test_pauses_are_long_runs_of_blanks() -> None:
    best = [0, 0, 0, 2, 0, 1, 1, 0, 0, 0, 0, 2, 0, 0, 0]
    log_probs = np.log(np.eye(3)[best] * 0.8 + 0.1)
    assert pauses(log_probs, 3).tolist() == [1, 9, 13]
    assert pauses(log_probs, 4).tolist() == [9]
    assert pauses(log_probs[3:4], 1).tolist() == []


def test_few_programs_read_all_lengths() -> None:
    sizes = {program_size(count) for count in range(1, 5000)}
    assert sorted(sizes) == [256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144]
    assert all(count <= program_size(count) for count in range(1, 5000))


def test_what_does_not_fit_is_refused() -> None:
    listener = recognizer("listener-16k")
    with pytest.raises(
        ExperimentError, match="listener-16k hears a whole utterance before it reads, so it cannot stream"
    ):
        list(listener.stream([sound(100)]))
    with pytest.raises(ValueError, match=r"waveform has shape \(2, 50\); expected one channel"):
        listener.features(np.zeros((2, 50), np.float32))
    with pytest.raises(ValueError, match=r"expected floating point in \[-1, 1\], or int16"):
        listener.features(np.zeros(500, np.int32))
    config = tiny_recognizer()
    with pytest.raises(ValueError, match=r"num_classes is 29, that of the text spec letters-ru is 35: set model\.num"):
        dataclasses.replace(config, text=get_text_spec("letters-ru"))
    assert in_language(config, get_text_spec("letters-ru")).model.num_classes == 35
    deep = tiny_deep_speech()
    for name in ("noise", "rooms", "telephone"):
        said = rf"augment\.{name} adds sounds as natural logs .* the features deep-speech are"
        with pytest.raises(ValueError, match=said):
            dataclasses.replace(deep, augment=dataclasses.replace(deep.augment, **{name: 0.5}))
    with pytest.raises(ValueError, match=r"data\.bucket_seconds must be increasing lengths, got \(4\.0, 2\.0\)"):
        dataclasses.replace(config.data, bucket_seconds=(4.0, 2.0))


def test_a_corpus_in_another_language_is_refused_with_its_reason() -> None:
    from tests.tiny.experiments import tiny_corpus

    listener = recognizer("listener-16k")
    data = RecognizerData(listener.config, tiny_corpus())
    report = judge_recognizer(listener, data, "train", at_most=2)
    assert [reading.said for reading in report.readings] == ["number zero", "number two"]
    checks = {finding.check: finding.verdict for finding in diagnose(listener, report)}
    assert checks["reading"] == "bad", "it has learnt nothing"
    config = in_language(listener.config, get_text_spec("letters-ru"))
    other = Recognizer(config=config, params=listener.params)
    with pytest.raises(ExperimentError, match="no recording of train has a text that listener-16k could write"):
        judge_recognizer(other, RecognizerData(config, tiny_corpus()), "train")
