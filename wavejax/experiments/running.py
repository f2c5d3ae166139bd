"""One experiment trained in a folder, whatever its family: resumable at any moment."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from wavejax.checkpoints import VALIDATION_LOSS, AnyStore, below, open_store, working_folder
from wavejax.experiments.config import ExperimentConfig, differences
from wavejax.experiments.family import Batch, Data, Exhibit, Family, Learner
from wavejax.experiments.loading import FindFamily, load_with_family
from wavejax.experiments.metadata import ExperimentError, metadata, read_metadata, refuse_other_speakers
from wavejax.experiments.workdir import METRICS, claimed
from wavejax.nn.normalization import overlaid
from wavejax.parallel import Strategy, get_strategy
from wavejax.parallel.compiling import run_once_options
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
    evaluate,
    fit,
)

_LOG = logging.getLogger(__name__)


def train(
    family: Family[Any, Any],
    config: Any,
    workdir: str | Path,
    *,
    find_family: FindFamily,
    init_from: str | Path | None = None,
    corpus: Any = None,
    console: Logger | None = None,
    loggers: Iterable[Logger] = (),
    hooks: Iterable[Hook] = (),
    devices: Sequence[jax.Device] | None = None,
) -> TrainState:
    """Train `config` in `workdir` until `config.training.num_steps`, resuming from its newest sound checkpoint.

    `wavejax.train_and_evaluate` is this for the families that ship, and says what the arguments are.
    """
    with claimed(workdir):
        return _train(family, config, workdir, find_family, init_from, corpus, console, tuple(loggers), hooks, devices)


def _train(
    family: Family[Any, Any],
    config: Any,
    workdir: str | Path,
    find_family: FindFamily,
    init_from: str | Path | None,
    corpus: Any,
    console: Logger | None,
    own_loggers: Sequence[Logger],
    hooks: Iterable[Hook],
    devices: Sequence[jax.Device] | None,
) -> TrainState:
    folder, training = working_folder(workdir), config.training
    data = family.open_data(config, corpus)
    strategy = training_strategy(config, devices)
    rows = strategy.process_rows(training.batch_size)
    learner = family.learner(config)
    figures = family.figures(config)
    rules: dict[str, Any] = {"keep_last": training.keep_last, "keep_every": training.keep_every or None}
    if training.keep_best:
        rules["best"] = (VALIDATION_LOSS, "min")
    with open_store(below(workdir, "checkpoints"), **rules) as store:
        state, data = _starting_state(family, config, data, learner, store, strategy, init_from, find_family)
        logger = LoggerGroup(_loggers(config, folder, console, own_loggers))
        meta = metadata(config, data.labels)
        validated: dict[int, dict[str, float]] = {}
        all_hooks = [
            LogHook(logger, every=training.log_every, units_per_step=figures.units_per_step, unit=figures.unit),
            *_validation_hooks(config, data, strategy, learner, logger, validated),
            CheckpointHook(store, meta, every=training.checkpoint_every, measured=lambda step: validated.get(step, {})),
            *(_exhibit_hooks(family, config, data, strategy, logger) if training.tensorboard or own_loggers else []),
            *hooks,
        ]
        result = fit(
            strategy.compile(learner.step),
            state,
            _batches(config, data, int(state.step), rows, strategy),
            all_hooks,
            num_steps=training.num_steps,
            max_seconds=60.0 * training.max_minutes or None,
            num_shapes=1 + len(family.smaller_batches(config)),
        )
    return result.state


def training_strategy(config: ExperimentConfig, devices: Sequence[jax.Device] | None = None) -> Strategy:
    """How the configuration uses these devices (default: all of them)."""
    fields = SHARDABLE_FIELDS if config.training.shard_optimizer else ()
    return get_strategy(config.training.strategy, devices, sharded_fields=fields)


def run_key(config: ExperimentConfig) -> Any:
    """The key from which everything random in a training is drawn."""
    return jax.random.key(config.training.seed, impl="threefry2x32")


def abstract_step(family: Family[Any, Any], config: Any) -> tuple[Callable[..., Any], TrainState, Mapping[str, Any]]:
    """(train step, shapes of its state, shapes of its global batch): what compiling takes, nothing being computed."""
    learner = family.learner(config)
    return learner.step, jax.eval_shape(learner.init, run_key(config)), family.batch_shapes(config)


def inference_params(state: TrainState) -> Any:
    """The averaged parameters, with running statistics laid over them where the model has any."""
    return overlaid(state.ema_params, state.model_state.get("statistics", {}))


def _starting_state(
    family: Family[Any, Any],
    config: Any,
    data: Data,
    learner: Learner,
    store: AnyStore,
    strategy: Strategy,
    init_from: str | Path | None,
    find_family: FindFamily,
) -> tuple[TrainState, Data]:
    """The state to go on from, and the data under the labels that it knows them by."""
    key = run_key(config)
    if store.steps():
        restored = store.restore(strategy.abstract(jax.eval_shape(learner.init, key)))
        labels = _check_same_run(family, config, restored.meta, str(store.directory))
        _LOG.info("resuming from step %d", restored.step)
        return restored.state, (family.follow_labels or refuse_other_speakers)(data, labels)
    state = jax.jit(learner.init, compiler_options=run_once_options())(key)
    if init_from is not None:
        given = load_with_family(init_from, None, find_family).product
        _check_adopted(family, config, given.config, str(init_from))
        data, params = family.adopt_labels(data, given)
        state = learner.adopt(state, params, str(init_from))
    return strategy.place(state), data


def _check_same_run(family: Family[Any, Any], config: Any, meta: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The labels of a run that is to go on."""
    saved = read_metadata(meta, family, where)
    _refuse_changes(
        (*family.matters, *family.matters_to_state),
        saved.config,
        config,
        f"{_literal(where)} belongs to another {{name}} ({{changed}}): use another "
        "workdir, or the configuration it was started with",
    )
    return saved.labels


def _check_adopted(family: Family[Any, Any], config: Any, given: Any, where: str) -> None:
    names = [name for name in family.matters if name != "model" and hasattr(given, name)]
    _refuse_changes(
        names,
        given,
        config,
        f"{_literal(where)} was trained with another {{name}} ({{changed}}): parameters can start a training of the "
        "same only",
    )


def _literal(text: str) -> str:
    """A text that `str.format` leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")


def _refuse_changes(names: Iterable[str], old: Any, new: Any, sentence: str) -> None:
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            changed = differences(before, after) if type(before) is type(after) else f"{before!r} -> {after!r}"
            raise ExperimentError(sentence.format(name=name, changed=changed))


def _batches(config: Any, data: Data, start_step: int, rows: slice, strategy: Strategy) -> Iterator[Batch]:
    """These rows of the batches from a step on; of the first few, over and over, where those are to be overfitted."""
    count = config.training.overfit_batches
    if not count:
        return data.training(start_step, rows, strategy)
    kept = list(itertools.islice(data.training(0, rows, strategy), count))
    return itertools.islice(itertools.cycle(kept), start_step % count, None)


def _loggers(config: Any, workdir: Path, console: Logger | None, own: Sequence[Logger]) -> list[Logger]:
    if jax.process_index() > 0:
        return []
    loggers: list[Logger] = [console or ConsoleLogger(config.training.num_steps)]
    loggers.append(JsonLinesLogger(workdir / METRICS))
    if config.training.tensorboard:
        loggers.append(TensorBoardLogger(workdir / "events"))
    return [*loggers, *own]


def _validation_hooks(
    config: Any,
    data: Data,
    strategy: Strategy,
    learner: Learner,
    logger: Logger,
    validated: dict[int, dict[str, float]],
) -> list[Hook]:
    """Loss on the held-out examples, also written into `validated` by step."""
    training = config.training
    if not (training.validate_every and data.has("validation")):
        return []
    eval_step = strategy.compile_evaluation(learner.evaluate)

    def validate(step: int, state: Any, metrics: Mapping[str, float]) -> None:
        found = evaluate(eval_step, state, data.held_out("validation", strategy.process_rows(training.batch_size)))
        validated[step] = {VALIDATION_LOSS: found.pop("loss")}
        others = {f"validation/{name}": value for name, value in found.items() if name != "weight"}
        logger.scalars(step, validated[step] | others)

    return [CallHook(validate, every=training.validate_every)]


def _exhibit_hooks(family: Family[Any, Any], config: Any, data: Data, strategy: Strategy, logger: Logger) -> list[Hook]:
    training = config.training
    if not training.exhibit_every:
        return []
    shown: set[str] = set()

    def show(step: int, state: Any, metrics: Mapping[str, float]) -> None:
        params = strategy.fetch(inference_params(state))  # by all processes: each may hold a part only
        if jax.process_index() == 0:
            product = family.product(config=config, params=params, labels=data.labels, step=step)
            for exhibit in family.exhibits(product, data):
                if not (exhibit.constant and exhibit.name in shown):
                    _log_exhibit(logger, step, exhibit)
                shown.add(exhibit.name)

    return [CallHook(show, every=training.exhibit_every)]


def _log_exhibit(logger: Logger, step: int, exhibit: Exhibit) -> None:
    if exhibit.waveform is not None:
        logger.audio(step, exhibit.name, exhibit.waveform, exhibit.sample_rate)
    if exhibit.image is not None:
        logger.image(step, exhibit.name, exhibit.image)
    if exhibit.text is not None:
        logger.text(step, exhibit.name, exhibit.text)


__all__ = ["abstract_step", "inference_params", "run_key", "train", "training_strategy"]
