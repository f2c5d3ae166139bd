"""The family of composers that learn against a critic (MuseGAN), for voices: the card."""

from wavejax.experiments.family import Family, Figures
from wavejax.models.voices_gan import PRESETS
from wavejax.nn.parameters import count_parameters
from wavejax.tasks.composer.evaluation import EvaluateOptions
from wavejax.tasks.composer.family import exhibits, usage
from wavejax.tasks.composer.game import critic_words, game_learner, generator_shapes
from wavejax.tasks.composer.phrase_composer import PhraseComposer
from wavejax.tasks.composer.phrase_diagnosis import PhraseDoctorOptions
from wavejax.tasks.composer.phrases import MuseGANConfig, open_phrases, phrase_shapes


def figures(config: MuseGANConfig) -> Figures:
    """Figures of an experiment."""
    model, training = config.model, config.training
    codes = model.num_steps * model.num_voices
    return Figures(
        parameters=count_parameters(generator_shapes(config)),
        macs_per_unit=model.macs_per_code,
        unit="codes",
        units_per_step=training.batch_size * codes,
        row_units=codes,
        product=(training.batch_size * model.num_steps, 5 * model.channels, model.channels // 2),
        size=model.size,
        rows=(
            ("voices", ", ".join(model.voices)),
            ("grid", f"{model.steps_per_beat} steps a beat, {model.beats_per_bar} beats a bar"),
            ("pitches", f"MIDI {model.lowest} to {model.highest}"),
            ("critic", critic_words(config)),
        ),
    )


FAMILY: Family[MuseGANConfig, PhraseComposer] = Family(
    config=MuseGANConfig,
    product=PhraseComposer,
    presets={
        name: MuseGANConfig(name=name, model=model, temperature=0.5, common=0.3, parallel_penalty=5.0, repeats=0.35)
        for name, model in PRESETS.items()
    },
    usage=usage,
    open_data=open_phrases,
    batch_shapes=phrase_shapes,
    learner=game_learner,
    param_shapes=generator_shapes,
    figures=figures,
    exhibits=exhibits,
    evaluator=EvaluateOptions,
    doctor=PhraseDoctorOptions,
)
