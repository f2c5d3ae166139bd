"""Layers, each with a parallel form and, where it is causal, a step form."""

from wavejax.nn.dropout import drop
from wavejax.nn.frame_network import FrameNetwork, FrameNetworkConfig
from wavejax.nn.gating import ACTIVATIONS, gated
from wavejax.nn.kernels import declare, declare_kernel, smooth_over_classes
from wavejax.nn.parameters import count_parameters, initial_params
from wavejax.nn.upsampling import Upsampler, UpsamplerConfig

__all__ = [
    "ACTIVATIONS",
    "FrameNetwork",
    "FrameNetworkConfig",
    "Upsampler",
    "UpsamplerConfig",
    "count_parameters",
    "declare",
    "declare_kernel",
    "drop",
    "gated",
    "initial_params",
    "smooth_over_classes",
]
