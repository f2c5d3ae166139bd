"""`train_and_evaluate`: from a corpus to a vocoder, resumable at any moment."""

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.audio.conversion import SpecMismatch
from wavejax.audio.notes import NoteSpec
from wavejax.audio.specs import get_spec
from wavejax.checkpoints import VALIDATION_LOSS, AnyStore, below, export_params, open_store, working_folder
from wavejax.data import Corpus, CropShape, embedded_corpus, training_batches, validation_batches
from wavejax.data.notes import open_notes, rung
from wavejax.models.wavenet import WaveNet
from wavejax.nn.parameters import initial_params
from wavejax.parallel import Strategy, get_strategy
from wavejax.parallel.compiling import run_once_options
from wavejax.tasks.resident import resident_batches
from wavejax.tasks.vocoder import Vocoder, load, make_loss, metadata, read_metadata
from wavejax.tasks.vocoder_config import VocoderConfig
from wavejax.training import (
    SHARDABLE_FIELDS,
    CallHook,
    CheckpointHook,
    ConsoleLogger,
    Hook,
    JsonLinesLogger,
    Logger,
    LoggerGroup,
    LogHook,
    TensorBoardLogger,
    TrainState,
    create_train_state,
    evaluate,
    fit,
    make_eval_step,
    make_train_step,
)
from wavejax.types import Params

_LOG = logging.getLogger(__name__)


class TrainingError(ValueError):
    """A run that cannot start: configuration, corpus and checkpoint do not fit together."""


def train_and_evaluate(
    config: VocoderConfig,
    workdir: str | Path,
    *,
    init_from: str | Path | None = None,
    corpus: Corpus | None = None,
    console: Logger | None = None,
    hooks: Iterable[Hook] = (),
    devices: Sequence[jax.Device] | None = None,
) -> TrainState:
    """Train `config` in `workdir` until `config.training.num_steps`, resuming from its newest sound checkpoint.

    The batches, dropout masks and averages of a resumed run are those of one that was never stopped.

    Under `wavejax.parallel.initialize_processes` every process makes the same call, with the same arguments and a
    workdir that all of them see: each draws its own rows of the global batch, all of them write the checkpoints, and
    process 0 alone logs. A run may go on with another number of processes or devices.

    Args:
        config: the experiment.
        workdir: holds `checkpoints/`, `metrics.jsonl` and TensorBoard's `events/`; shared by all processes. Or the URL
            of a bucket, e.g. "gs://bucket/run": checkpoints and metrics go there from process 0, by way of a folder in
            ~/.cache/wavejax (or $WAVEJAX_CACHE) that also holds the rest.
        init_from: start from these parameters (a training folder, an export or a voice) where the workdir has no
            checkpoint yet; speakers that are new keep their fresh rows.
        corpus: use this one instead of `config.data.corpus`.
        console: progress, on process 0; default a bar on the terminal.
        hooks: further ones.
        devices: train on these; default all of them.

    Returns:
        The last state, on the devices.

    Raises:
        ValueError: among others, a batch that the devices do not divide.
        TrainingError, SpecMismatch, CheckpointError: see their messages.
        NonFiniteError: loss or gradient stopped being finite; names step, examples and last good checkpoint.
    """
    folder, training = working_folder(workdir), config.training
    corpus = open_corpus(config) if corpus is None else corpus
    check_corpus(config, corpus)
    strategy = training_strategy(config, devices)
    rows = strategy.process_rows(training.batch_size)
    optimizer = config.optimizer.build()
    loss_fn = make_loss(config)
    speakers = corpus.speakers if config.model.num_speakers else ()
    meta = metadata(config, speakers)
    rules: dict[str, Any] = {"keep_last": training.keep_last, "keep_every": training.keep_every or None}
    if training.keep_best:
        rules["best"] = (VALIDATION_LOSS, "min")
    with open_store(below(workdir, "checkpoints"), **rules) as store:
        state = _starting_state(config, store, strategy, optimizer, init_from)
        logger = LoggerGroup(_loggers(config, folder, console))
        step = _train_step(config, loss_fn, optimizer)
        samples = training.batch_size * config.data.crop_length
        validated: dict[int, dict[str, float]] = {}
        all_hooks = [
            LogHook(logger, every=training.log_every, units_per_step=samples),
            *_validation_hooks(config, corpus, strategy, loss_fn, logger, validated),
            CheckpointHook(store, meta, every=training.checkpoint_every, measured=lambda step: validated.get(step, {})),
            *_audio_hooks(config, corpus, strategy, logger, speakers),
            *hooks,
        ]
        batches = _batches(config, corpus, int(state.step), rows, strategy)
        result = fit(
            strategy.compile(step),
            state,
            batches,
            all_hooks,
            num_steps=training.num_steps,
            max_seconds=60.0 * training.max_minutes or None,
        )
    return result.state


def open_corpus(config: VocoderConfig) -> Corpus:
    """The corpus that the configuration names."""
    if isinstance(config.spec, NoteSpec):
        return open_notes(config.data.corpus, config.spec)
    if config.data.corpus == "embedded":
        return embedded_corpus(config.spec)
    return Corpus.open(config.data.corpus)


def check_corpus(config: VocoderConfig, corpus: Corpus) -> None:
    """Refuse a corpus of other features or with speakers that the model has no place for."""
    if config.model.frame_network is not None and corpus.spec != config.spec:
        raise SpecMismatch(
            "the corpus (source) holds features of another spec than the model (target) reads; prepare it again with "
            f"--spec {config.spec.name}.",
            corpus.spec,
            config.spec,
        )
    if corpus.sample_rate != config.spec.sample_rate:
        raise TrainingError(
            f"the corpus is at {corpus.sample_rate} Hz but the model at {config.spec.sample_rate} Hz: prepare "
            f"it again with --spec {config.spec.name}"
        )
    known, found = config.model.num_speakers, len(corpus.speakers)
    if known and found > known:
        raise TrainingError(
            f"the corpus has {found} speakers but the model only {known}: set model.num_speakers={found}"
        )


def training_strategy(config: VocoderConfig, devices: Sequence[jax.Device] | None = None) -> Strategy:
    """How the configuration uses these devices (default: all of them)."""
    fields = SHARDABLE_FIELDS if config.training.shard_optimizer else ()
    return get_strategy(config.training.strategy, devices, sharded_fields=fields)


def abstract_step(config: VocoderConfig) -> tuple[Callable[..., Any], TrainState, dict[str, jax.ShapeDtypeStruct]]:
    """(train step, shapes of its state, shapes of its global batch): what compiling takes, nothing being computed."""
    optimizer = config.optimizer.build()
    state = jax.eval_shape(lambda: _fresh_state(config, optimizer))
    batch = {
        name: jax.ShapeDtypeStruct(value.shape, value.dtype)
        for name, value in example_batch(config.crop_shape, config).items()
    }
    return _train_step(config, make_loss(config), optimizer), state, batch


def _train_step(config: VocoderConfig, loss_fn: Any, optimizer: Any) -> Callable[..., Any]:
    return make_train_step(
        loss_fn,
        optimizer,
        ema_decay=config.training.ema_decay,
        accumulation_steps=config.training.accumulation_steps,
        learning_rate=config.optimizer.learning_rate_at,
    )


def dry_run(config: VocoderConfig) -> dict[str, float]:
    """Bytes that the compiled train step needs, without training: {"temporary_bytes", "state_bytes"}."""
    step, state, batch = abstract_step(config)
    memory: Any = jax.jit(step, donate_argnums=0).lower(state, batch).compile().memory_analysis()
    return {
        "temporary_bytes": float(memory.temp_size_in_bytes),
        "state_bytes": float(memory.argument_size_in_bytes),
    }


def example_batch(shape: CropShape, config: VocoderConfig) -> dict[str, np.ndarray]:
    """An empty batch of the right shapes."""
    rows = config.training.batch_size
    frames = shape.frames_before + shape.num_frames(config.spec.hop_length) + shape.frames_after
    return {
        "waveform": np.zeros((rows, shape.history + shape.length), np.float32),
        "mask": np.ones((rows, shape.length), np.bool_),
        "local_conditioning": np.zeros((rows, frames, config.spec.num_channels), np.float32),
        "speaker": np.zeros((rows,), np.int32),
        "id": np.zeros((rows,), np.uint32),
    }


def export(
    source: str | Path,
    folder: str | Path,
    step: int | None = None,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    temperature: float | None = None,
) -> Path:
    """Write the averaged parameters of a training folder as a small inference folder that `wavejax.load` reads.

    Of the corpus only the folder's name is kept. bfloat16 halves the size; `wavejax evaluate` says what it costs.
    `temperature` becomes that of all draws for which no other is asked.
    """
    vocoder = load(source, step)
    config, data = vocoder.config, vocoder.config.data
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(data, corpus=Path(data.corpus).name),
        temperature=config.temperature if temperature is None else temperature,
    )
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.dtype(dtype)), vocoder.params)
    return export_params(folder, params, metadata(config, vocoder.speakers))


def _fresh_state(config: VocoderConfig, optimizer: Any) -> TrainState:
    key = jax.random.key(config.training.seed, impl="threefry2x32")
    params = initial_params(WaveNet(config.model), jax.random.fold_in(key, 0))
    return create_train_state(params, optimizer, key=jax.random.fold_in(key, 1))


def _starting_state(
    config: VocoderConfig, store: AnyStore, strategy: Any, optimizer: Any, init_from: str | Path | None
) -> TrainState:
    if store.steps():
        target = strategy.abstract(jax.eval_shape(lambda: _fresh_state(config, optimizer)))
        restored = store.restore(target)
        _check_same_run(config, restored.meta, str(store.directory))
        _LOG.info("resuming from step %d", restored.step)
        return restored.state
    state = jax.jit(lambda: _fresh_state(config, optimizer), compiler_options=run_once_options())()
    if init_from is not None:
        given = load(init_from)
        if given.config.spec != config.spec:
            raise SpecMismatch(f"{init_from} (source) reads other features.", given.config.spec, config.spec)
        params = _merge(state.params, given.params, str(init_from))
        state = create_train_state(params, optimizer, key=state.key)
    return strategy.place(state)


def _check_same_run(config: VocoderConfig, meta: Mapping[str, Any], where: str) -> None:
    saved, _ = read_metadata(meta, where)
    for name in ("model", "spec"):
        if getattr(saved, name) != getattr(config, name):
            changed = _differences(getattr(saved, name), getattr(config, name))
            raise TrainingError(
                f"{where} belongs to another {name} ({changed}): use another workdir, or the configuration it was "
                "started with"
            )


def _differences(old: Any, new: Any) -> str:
    names = [field.name for field in dataclasses.fields(old) if getattr(old, field.name) != getattr(new, field.name)]
    return ", ".join(f"{name}: {getattr(old, name)} -> {getattr(new, name)}" for name in names)


def _merge(fresh: Any, given: Params, where: str) -> Any:
    """`given` in the tree of `fresh`; a speaker table may be longer than the one given."""
    flat = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(given)}

    def choose(path: Any, leaf: Any) -> Any:
        name = jax.tree_util.keystr(path)
        old = flat.pop(name, None)
        if old is None and any(part in name for part in ("speaker_embedding", "global_kernel", "global_bias")):
            return leaf
        if old is None or old.shape[1:] != leaf.shape[1:] or ("speaker" not in name and old.shape != leaf.shape):
            found = "nothing" if old is None else old.shape
            raise TrainingError(f"{where} does not fit the model: {name} should be {leaf.shape}, it holds {found}")
        rows = min(old.shape[0], leaf.shape[0]) if old.ndim else 0
        return leaf.at[:rows].set(old[:rows]) if old.shape != leaf.shape else jax.numpy.asarray(old)

    merged = jax.tree_util.tree_map_with_path(choose, fresh)
    if flat:
        raise TrainingError(f"{where} has parameters that this model has no place for: {sorted(flat)[:5]}")
    return merged


def _batches(
    config: VocoderConfig, corpus: Corpus, start_step: int, rows: slice, strategy: Strategy
) -> Iterator[Mapping[str, Any]]:
    """These rows of the batches from a step on."""
    training, count = config.training, config.training.overfit_batches
    options: dict[str, Any] = {
        "batch_size": training.batch_size,
        "seed": training.seed,
        "num_threads": config.data.num_threads,
        "rows": rows,
    }
    if config.data.resident:
        return resident_batches(corpus, "train", config.crop_shape, strategy, start_step=start_step, **options)
    if not count:
        return training_batches(corpus, "train", config.crop_shape, start_step=start_step, **options)
    source = training_batches(corpus, "train", config.crop_shape, **options)
    kept = list(itertools.islice(source, count))
    return itertools.islice(itertools.cycle(kept), start_step % count, None)


def _loggers(config: VocoderConfig, workdir: Path, console: Logger | None) -> list[Logger]:
    if jax.process_index() > 0:
        return []
    loggers: list[Logger] = [console or ConsoleLogger(config.training.num_steps)]
    loggers.append(JsonLinesLogger(workdir / "metrics.jsonl"))
    if config.training.tensorboard:
        loggers.append(TensorBoardLogger(workdir / "events"))
    return loggers


def _validation_hooks(
    config: VocoderConfig,
    corpus: Corpus,
    strategy: Strategy,
    loss_fn: Any,
    logger: Logger,
    validated: dict[int, dict[str, float]],
) -> list[Hook]:
    """Loss on the held-out utterances, also written into `validated` by step."""
    training = config.training
    if not (training.validate_every and _has_validation(corpus)):
        return []

    def quiet_loss(params: Any, model_state: Any, batch: Any, keys: Any) -> Any:
        del keys
        return loss_fn(params, model_state, batch, None)

    eval_step = strategy.compile_evaluation(make_eval_step(quiet_loss))

    def validate(step: int, state: Any, metrics: Mapping[str, float]) -> None:
        rows = strategy.process_rows(training.batch_size)
        batches = validation_batches(corpus, "validation", config.crop_shape, batch_size=training.batch_size, rows=rows)
        validated[step] = {VALIDATION_LOSS: evaluate(eval_step, state, batches)["loss"]}
        logger.scalars(step, validated[step])

    return [CallHook(validate, every=training.validate_every)]


def _audio_hooks(
    config: VocoderConfig, corpus: Corpus, strategy: Strategy, logger: Logger, speakers: tuple[str, ...]
) -> list[Hook]:
    training = config.training
    if not (training.audio_every and training.tensorboard and _has_validation(corpus)):
        return []

    def speak(step: int, state: Any, metrics: Mapping[str, float]) -> None:
        params = strategy.fetch(state.ema_params)  # by all processes: each may hold a part only
        if jax.process_index() == 0:
            _log_audio(config, corpus, params, step, logger, speakers)

    return [CallHook(speak, every=training.audio_every)]


def _has_validation(corpus: Corpus) -> bool:
    return corpus.has("validation")


def _log_audio(
    config: VocoderConfig, corpus: Corpus, params: Params, step: int, logger: Logger, speakers: tuple[str, ...]
) -> None:
    """Free-running audio and its spectrogram, from averaged parameters on a held-out mel."""
    from wavejax.evaluation.pictures import spectrogram_image

    utterance = corpus.utterance(corpus.indices("validation")[0])
    vocoder = Vocoder(config=config, params=params, speakers=speakers)
    rate = config.spec.sample_rate
    num_samples = min(int(config.training.audio_seconds * rate), len(utterance.waveform))
    mel = utterance.frames if config.model.frame_network is not None else None
    speaker = utterance.speaker if config.model.num_speakers else None
    waveform, original = vocoder(mel, speaker=speaker, num_samples=num_samples), utterance.waveform[:num_samples]
    if isinstance(config.spec, NoteSpec):
        shown, waveform = get_spec("speech-16k"), rung(waveform, utterance, config.spec)
        original = rung(original, utterance, config.spec)
    else:
        shown = config.spec
    logger.audio(step, "free_running", waveform, rate)
    logger.image(step, "free_running", spectrogram_image(waveform, shown))
    if step <= config.training.audio_every:
        logger.audio(step, "original", original, rate)
        logger.image(step, "original", spectrogram_image(original, shown))


__all__ = [
    "TrainingError",
    "abstract_step",
    "check_corpus",
    "dry_run",
    "export",
    "open_corpus",
    "train_and_evaluate",
    "training_strategy",
]
