"""Experiments: what every family shares. A family is a card; running, resuming, loading and exporting are here."""

from wavejax.experiments.config import CorpusConfig, ExperimentConfig, TrainingConfig
from wavejax.experiments.family import Data, Evaluation, Exhibit, Family, Figures, Learner
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.product import Product

__all__ = [
    "CorpusConfig",
    "Data",
    "Evaluation",
    "Exhibit",
    "ExperimentConfig",
    "ExperimentError",
    "Family",
    "Figures",
    "Learner",
    "Product",
    "TrainingConfig",
]
