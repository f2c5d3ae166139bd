"""Generic training: state, step, schedules, the loop, its hooks and loggers. Independent of audio and models."""

from wavejax.training.evaluation import evaluate, make_eval_step
from wavejax.training.fit import FitResult, NonFiniteError, fit
from wavejax.training.hooks import CallHook, CheckpointHook, Hook, LogHook
from wavejax.training.loggers import ConsoleLogger, JsonLinesLogger, Logger, LoggerGroup, TensorBoardLogger
from wavejax.training.optimizers import OptimizerConfig
from wavejax.training.players import TwoPlayerLoss
from wavejax.training.profiling import ProfileHook
from wavejax.training.state import SHARDABLE_FIELDS, TrainState, create_train_state
from wavejax.training.step import make_train_step
from wavejax.training.two_player import create_two_player_state, make_two_player_eval_step, make_two_player_step

__all__ = [
    "SHARDABLE_FIELDS",
    "CallHook",
    "CheckpointHook",
    "ConsoleLogger",
    "FitResult",
    "Hook",
    "JsonLinesLogger",
    "LogHook",
    "Logger",
    "LoggerGroup",
    "NonFiniteError",
    "OptimizerConfig",
    "ProfileHook",
    "TensorBoardLogger",
    "TrainState",
    "TwoPlayerLoss",
    "create_train_state",
    "create_two_player_state",
    "evaluate",
    "fit",
    "make_eval_step",
    "make_train_step",
    "make_two_player_eval_step",
    "make_two_player_step",
]
