"""Layers, each with a parallel form and, where it is causal, a step form."""

from wavejax.nn.configured import ReadsConfig
from wavejax.nn.dropout import drop
from wavejax.nn.frame_network import FrameNetwork, FrameNetworkConfig
from wavejax.nn.gating import ACTIVATIONS, gated
from wavejax.nn.input_noise import perturbed
from wavejax.nn.kernels import declare, declare_kernel, smooth_over_classes
from wavejax.nn.normalization import BatchNorm, initial_statistics, overlaid
from wavejax.nn.parameters import count_parameters, initial_params
from wavejax.nn.upsampling import Upsampler, UpsamplerConfig

__all__ = [
    "ACTIVATIONS",
    "BatchNorm",
    "FrameNetwork",
    "FrameNetworkConfig",
    "ReadsConfig",
    "Upsampler",
    "UpsamplerConfig",
    "count_parameters",
    "declare",
    "declare_kernel",
    "drop",
    "gated",
    "initial_params",
    "initial_statistics",
    "overlaid",
    "perturbed",
    "smooth_over_classes",
]
