"""The family of the published MuseGAN networks, which make phrases of five instruments: product, judgement and card."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from wavejax.atomic import write_json, write_text
from wavejax.data.score_corpus import ScoreCorpus
from wavejax.data.scores import Score
from wavejax.evaluation.bootstrap import Interval
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.evaluation.music import Grid
from wavejax.evaluation.music_report import HELD_OUT
from wavejax.evaluation.report import text_table
from wavejax.evaluation.track_rolls import ROLL_MEASURES, roll_means
from wavejax.experiments.family import Exhibit, Family, Figures
from wavejax.experiments.metadata import ExperimentError
from wavejax.models.musegan import LOWEST, PRESETS, RollsConfig
from wavejax.nn.normalization import initial_statistics
from wavejax.nn.parameters import count_parameters
from wavejax.ownership import marked, refuse_foreign_report
from wavejax.parallel.flops import count_flops
from wavejax.ranges import TEMPERATURE, Range, as_option, check_ranges
from wavejax.tasks.composer.family import usage
from wavejax.tasks.composer.game import critic_words, game_learner, generator_shapes
from wavejax.tasks.composer.phrase_composer import phrase_key
from wavejax.tasks.composer.product import TEMPO, Composer, ComposingError, Request, check_takes
from wavejax.tasks.composer.publishing import roll_of
from wavejax.tasks.composer.rolls import PublishedMuseGANConfig, RollData, open_rolls, roll_shapes, score_of_roll
from wavejax.training.optimizers import OptimizerConfig
from wavejax.types import Params


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RollComposer(Composer):
    """A published network. Phrases follow each other without knowing of each other.

    `bars` gives where notes sound: what the network makes above 0. `given`, `key` and `takes` must be left out: the
    networks know none of them. `temperature` multiplies the noise.
    """

    config: PublishedMuseGANConfig

    def _bars(self, request: Request) -> Iterator[Bool[np.ndarray, "steps pitches tracks"]]:
        if request.given is not None or request.key is not None or check_takes(request.takes) > 1:
            raise ComposingError(
                f"{self.config.name} makes whole phrases out of noise: it keeps no voices, aims at no key and has no "
                "likelihood to choose takes by; leave these out"
            )
        if request.temperature not in TEMPERATURE:
            raise ValueError(f"temperature must be {TEMPERATURE}, got {request.temperature}")
        return self._phrases(self._num_bars(request.bars, None), index(request.seed), request.temperature)

    def phrase(self, seed: int, number: int, temperature: float) -> Bool[np.ndarray, "bars steps pitches tracks"]:
        """A phrase: a function of the seed and the phrase's number alone."""
        return np.asarray(_made(self.config.model, self.params, phrase_key(seed, number), jnp.float32(temperature)))

    def _phrases(self, bars: int, seed: int, temperature: float) -> Iterator[np.ndarray]:
        model = self.config.model
        for number in range(-(-bars // model.bars)):
            yield from self.phrase(seed, number, temperature)[: bars - number * model.bars]

    def score_of(
        self, codes: Bool[np.ndarray, "steps pitches tracks"], *, given: Score | None = None, tempo: float | None = None
    ) -> Score:
        """The score of a roll that this model made."""
        del given
        return score_of_roll(codes, self.config.model, TEMPO if tempo is None else tempo)


@functools.partial(jax.jit, static_argnums=0)
def _made(model: RollsConfig, params: Params, key: Key[Array, ""], temperature: Float[Array, ""]) -> Array:
    noise = temperature * jax.random.normal(key, (1, model.noise_size))
    return model.build().made({"params": params}, noise)[0] > 0


# --- judgement -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class RollReport:
    """Figures of a network's phrases beside those of held-out ones."""

    title: str
    facts: Mapping[str, str]
    means: Mapping[str, Mapping[str, Interval | None]]
    """By system, by measure."""

    def _table(self) -> str:
        rows = [["", *self.means]]
        for name in ROLL_MEASURES:
            rows.append([name, *(_words(found[name]) for found in self.means.values())])
        return text_table(rows) + "\n"

    def lines(self) -> Sequence[str]:
        """The table, and what is missing in it."""
        return [self._table(), "likelihood: absent: the network makes whole phrases out of noise and has none"]

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        found = {
            system: {name: None if value is None else value.mean for name, value in means.items()}
            for system, means in self.means.items()
        }
        return {"title": self.title, "facts": dict(self.facts), "means": found}

    def write(self, folder: Path) -> Path:
        """Writes report.md and report.json. Raises FileExistsError where one is there and is not from a report."""
        refuse_foreign_report(folder)
        write_json(folder / "report.json", marked(self.to_json()), indent=1)
        said = "\n".join(f"- {name}: {value}" for name, value in self.facts.items())
        page = folder / "report.md"
        write_text(page, f"# {self.title}\n\n{said}\n\n{self._table()}")
        return page


def _words(value: Interval | None) -> str:
    return "-" if value is None else f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


@dataclass(frozen=True, kw_only=True)
class RollEvaluateOptions:
    """A published network's phrases beside held-out ones: empty bars, pitch classes, broken-up notes, polyphony."""

    corpus: str
    """A folder of scores made by `wavejax prepare`."""
    split: Literal["validation", "test"] = "test"
    phrases: Annotated[int, Range(2, 10_000)] = 20
    """That the network makes, and the most that are read of the split."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: RollComposer, say: Callable[[str], None]) -> RollReport:
        """Measure."""
        config = product.config
        say(f"making {self.phrases} phrases")
        made = [flat(product.phrase(0, number, config.temperature)) for number in range(self.phrases)]
        held_out = itertools.islice(_held_out(config, self.corpus, self.split), self.phrases)
        real = [flat(roll) for roll in held_out]
        return RollReport(
            title=config.name,
            facts={"from": product.source, "corpus": self.corpus, "split": self.split, "phrases": str(self.phrases)},
            means={HELD_OUT: roll_means(real, grid_of(config)), config.name: roll_means(made, grid_of(config))},
        )


@dataclass(frozen=True, kw_only=True)
class RollDoctorOptions:
    """Of a published network: are its parameters finite, and do its phrases hold notes, but not everywhere."""

    corpus: str
    """A folder of scores made by `wavejax prepare`."""
    split: Literal["train", "validation", "test"] = "validation"
    """Part of the corpus."""

    def __call__(self, product: RollComposer) -> Iterator[Finding]:
        """Findings about the network."""
        finite = check_parameters(product.params)
        yield finite
        if finite.verdict == "bad":
            return
        rolls = itertools.islice(_held_out(product.config, self.corpus, self.split), 8)
        real = [float(roll.mean()) for roll in rolls]
        made = [float(product.phrase(0, number, product.config.temperature).mean()) for number in range(8)]
        own, known = float(np.mean(made)), float(np.mean(real))
        words = f"its rolls sound at {100 * own:.1f} % of all places, held-out ones at {100 * known:.1f} %"
        if not known / 3 < own < 3 * known:
            yield Finding(check="notes", verdict="bad", words=f"{words}: train longer")
        else:
            yield Finding(check="notes", verdict="good", words=words)


def _held_out(config: PublishedMuseGANConfig, corpus: str, split: str) -> Iterator[np.ndarray]:
    data = open_rolls(config, ScoreCorpus.open(corpus))
    if not data.has(split):
        raise ExperimentError(f"{corpus} has no phrase in the split {split!r}: choose another --split")
    return data.rolls(split)


def flat(
    phrase: Bool[np.ndarray, "bars steps pitches tracks"],
) -> Bool[np.ndarray, "all_steps pitches tracks"]:
    """The bars of a phrase in a row."""
    return phrase.reshape(-1, *phrase.shape[2:])


def grid_of(config: PublishedMuseGANConfig) -> Grid:
    """The grid of a network's rolls."""
    return Grid(steps_per_beat=config.model.steps_per_beat, steps_per_bar=config.model.steps_per_bar)


# --- the card --------------------------------------------------------------------------------------------------------


def experiment(name: str) -> PublishedMuseGANConfig:
    """The experiment around a published network, with the learning rate of its public code."""
    model = PRESETS[name]
    optimizer = OptimizerConfig(learning_rate=1e-3 if model.version == "v3" else 2e-4, betas=(0.5, 0.9))
    return PublishedMuseGANConfig(name=name, model=model, optimizer=optimizer, critic_optimizer=optimizer)


def exhibits(product: RollComposer, data: RollData) -> Iterator[Exhibit]:
    """The roll of a phrase of its own, and that of a held-out one."""
    made = flat(product.phrase(0, 0, product.config.temperature))
    yield Exhibit(name="composed", image=roll_of(product.score_of(made)))
    if data.has("validation"):
        held_out = flat(next(iter(data.rolls("validation"))))
        yield Exhibit(name="held out", image=roll_of(product.score_of(held_out)), constant=True)


def figures(config: PublishedMuseGANConfig) -> Figures:
    """Figures of an experiment."""
    model, training = config.model, config.training
    shapes, cells = generator_shapes(config), int(np.prod(model.shape))
    count = count_parameters(shapes) - count_parameters(initial_statistics(shapes))  # those that are trained
    return Figures(
        parameters=count,
        macs_per_unit=_macs(model) // cells,
        unit="cells",
        units_per_step=training.batch_size * cells,
        row_units=cells,
        product=(training.batch_size * model.num_steps, 512, 256),
        size=model.size,
        rows=(
            ("tracks", ", ".join(model.tracks)),
            ("grid", f"{model.steps_per_beat} steps a beat, {model.beats_per_bar} beats a bar"),
            ("pitches", f"MIDI {LOWEST} to {LOWEST + model.num_pitches - 1}"),
            ("critic", critic_words(config)),
        ),
    )


@functools.lru_cache(maxsize=8)
def _macs(model: RollsConfig) -> int:
    """Multiplications for one phrase."""
    players = model.build()
    params = jax.eval_shape(lambda: players.initial_params(jax.random.key(0))[0])
    noise = jax.ShapeDtypeStruct((1, model.noise_size), jnp.float32)
    return count_flops(lambda params, noise: players.made({"params": params}, noise), params, noise) // 2


FAMILY: Family[PublishedMuseGANConfig, RollComposer] = Family(
    config=PublishedMuseGANConfig,
    product=RollComposer,
    presets={name: experiment(name) for name in PRESETS},
    usage=usage,
    open_data=open_rolls,
    batch_shapes=roll_shapes,
    learner=game_learner,
    param_shapes=generator_shapes,
    figures=figures,
    exhibits=exhibits,
    evaluator=RollEvaluateOptions,
    doctor=RollDoctorOptions,
)
