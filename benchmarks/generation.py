"""Samples per second of generation at batch 1, beside a peer's incremental generation at the same sizes.

    python -m benchmarks.generation [--peers] [--json OUT] [--repeats 5] [--num-samples 16000]

The network is the preset `nv-wavenet-20` without local conditioning, with random parameters: 20 layers in two stacks of
dilations 1 to 512, kernel size 2, residual 64, gate 64 after the split, skip 256, 256 classes. The peer (`--peers`,
extra `peers`) is PyPI `wavenet_vocoder` 0.1.1: `incremental_forward` at those sizes, in evaluation mode without
gradients, as constructed and with its weight norm removed (`make_generation_fast_`: the peer at its best; compare with
that one), with the faster of one thread and all. Both draw every sample. Repeats alternate, so that a change in the
machine's load meets all; compile time is apart. Before anything is timed, `check` holds the engine against the parallel
form.
"""

import argparse
import dataclasses
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.environment import describe_machine, summarise
from wavejax.extras import require_extra
from wavejax.generation import encode_conditioning, generate, init_state, pack, replay, stream_keys, uniforms
from wavejax.models.wavenet import WaveNet, count_parameters, initial_params
from wavejax.models.wavenet_presets import get_preset

PACKAGES = ("wavejax-audio", "jax", "jaxlib", "numpy", "numba", "torch", "wavenet_vocoder")
PRESET = "nv-wavenet-20"
SEED = 7


class WrongSound(RuntimeError):
    """The engine under test does not compute what the parallel form does, so its speed says nothing."""


def make_model() -> tuple[WaveNet, dict[str, Any]]:
    """The preset without local conditioning, with random parameters whose logits spread like a trained network's."""
    config = dataclasses.replace(get_preset(PRESET), frame_network=None, upsampler=None, local_bias=False)
    model = WaveNet(config)
    params = dict(initial_params(model, jax.random.key(0)))
    values = jax.random.randint(jax.random.key(1), (1, 512), 0, config.coding.num_classes, jnp.int32)
    spread = jnp.std(jnp.asarray(model.apply({"params": params}, values, scored=128)))
    last = f"tail_{len(config.tail_channels)}_kernel"
    params[last] = params[last] * (2.0 / spread)
    return model, params


def parallel_outputs(model: WaveNet, params: dict[str, Any], values: jax.Array) -> np.ndarray:
    """The parallel form's outputs for values [1, N] of a recording that begins from silence."""
    silence = jnp.full((1, model.receptive_field), model.coding.silence, values.dtype)
    padded = jnp.concatenate([silence, values], axis=1)[:, :-1]
    apply = jax.jit(partial(model.apply, scored=values.shape[1]))
    return np.asarray(apply({"params": params}, padded))


def check(
    model: WaveNet, params: dict[str, Any], waveform: np.ndarray, backend: str, reference: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Holds `waveform`, generated with `SEED`, and `replay` of it against the parallel form (of `reference`, if given).

    Raises WrongSound where `replay` differs by more than rounding, or a sample's uniform lies outside the share of the
    cumulative distribution that belongs to its class, by more than 1e-5.
    """
    values = model.coding.encode(waveform)
    expected = parallel_outputs(model, params if reference is None else reference, values)
    decoder = pack(model, params)
    conditioning = encode_conditioning(decoder)
    state = init_state(decoder, conditioning, seed=SEED)
    outputs = np.asarray(jax.jit(replay)(decoder, state, conditioning, values)[1])
    error = float(np.abs(outputs - expected).max() / np.abs(expected).max())
    if not error < 1e-4:
        raise WrongSound(f"replay differs from the parallel form by {error:.1e} of the largest output, expected < 1e-4")

    keys = stream_keys(SEED, jnp.arange(1))
    noise = np.asarray(uniforms(keys, jnp.zeros(2, jnp.uint32), values.shape[1], 1), np.float64)[:, 0, 0]
    logits = expected[0].astype(np.float64)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    above = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    drawn, rows = np.asarray(values)[0], np.arange(values.shape[1])
    below = np.where(drawn > 0, above[rows, drawn - 1], 0.0)
    outside = np.maximum(np.maximum(below - noise, noise - above[rows, drawn]), 0.0)
    if outside.max() > 1e-5:
        wrong = int(np.count_nonzero(outside > 1e-5))
        raise WrongSound(
            f"backend {backend!r}: {wrong} of {len(rows)} samples, the first at {int(np.argmax(outside > 1e-5))}, are "
            "not the draws of the parallel form's distribution"
        )
    return {
        "samples": len(rows),
        "replay_error": error,
        "draws_across_an_edge_by_rounding": int(np.count_nonzero(outside)),
        "classes_heard": len(np.unique(drawn)),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """Another implementation, ready to be timed."""

    name: str
    parameters: int
    threads: int
    seconds: Callable[[int], float]
    """Wall time of generating so many samples."""


def make_peer(*, weight_norm: bool) -> Peer:
    """`wavenet_vocoder` at the preset's sizes, with the faster of one thread and all."""
    torch = require_extra("torch", "peers", "the peer's generation")
    peer = require_extra("wavenet_vocoder.wavenet", "peers", "the peer's generation")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's about the peer's way to normalise weights
        model = peer.WaveNet(
            out_channels=256,
            layers=20,
            stacks=2,
            residual_channels=64,
            gate_channels=128,  # before the split
            skip_out_channels=256,
            kernel_size=2,
            legacy=False,
        )
    if not weight_norm:
        model.make_generation_fast_()
    model.eval()

    def seconds(num_samples: int) -> float:
        with torch.inference_mode():
            start = time.perf_counter()
            output = model.incremental_forward(T=num_samples)
            elapsed = time.perf_counter() - start
        if tuple(output.shape) != (1, 256, num_samples) or not bool((output.sum(dim=1) == 1).all()):
            raise WrongSound(f"the peer returned {tuple(output.shape)}, expected one-hot (1, 256, {num_samples})")
        return elapsed

    counts = sorted({1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1})
    trials: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(4):
        for count in counts:
            torch.set_num_threads(count)
            trials[count].append(seconds(60))
    fastest = min(counts, key=lambda count: statistics.median(trials[count]))

    def timed(num_samples: int) -> float:
        torch.set_num_threads(fastest)
        return seconds(num_samples)

    name = "wavenet_vocoder, " + ("as constructed" if weight_norm else "weight norm removed")
    parameters = sum(each.numel() for each in model.parameters())
    return Peer(name=name, parameters=parameters, threads=fastest, seconds=timed)


def measure(*, peers: bool, repeats: int, num_samples: int, backend: Any) -> dict[str, Any]:
    """Everything that the table shows, as JSON-able values."""
    machine = describe_machine(PACKAGES)
    model, params = make_model()

    def ours(count: int) -> float:
        start = time.perf_counter()
        generate(model, params, num_samples=count, seed=SEED, backend=backend)
        return time.perf_counter() - start

    first = ours(num_samples)
    history = generate(model, params, num_samples=2 * model.receptive_field, seed=SEED, backend=backend)
    checked = check(model, params, history, backend)
    others = [make_peer(weight_norm=weight_norm) for weight_norm in (True, False)] if peers else []
    # The peer is tens of times slower: a few hundred samples take as long as ours.
    peer_samples = max(20, num_samples // 32)
    speeds: list[float] = []
    peer_speeds: list[list[float]] = [[] for _ in others]
    for _ in range(repeats):
        speeds.append(num_samples / ours(num_samples))
        for other, its_speeds in zip(others, peer_speeds, strict=True):
            its_speeds.append(peer_samples / other.seconds(peer_samples))
    return {
        "machine": machine,
        "preset": PRESET,
        "backend": backend,
        "samples": num_samples,
        "parameters": count_parameters(params),
        "macs_per_sample": model.config.macs_per_sample,
        "check": checked,
        "compile_seconds": first - num_samples / statistics.median(speeds),
        "samples_per_second": summarise(speeds),
        "peers": [
            {
                "name": other.name,
                "threads": other.threads,
                "samples": peer_samples,
                "parameters": other.parameters,
                "samples_per_second": summarise(its_speeds),
                "times_faster": summarise([a / b for a, b in zip(speeds, its_speeds, strict=True)]),
            }
            for other, its_speeds in zip(others, peer_speeds, strict=True)
        ],
    }


def table(result: dict[str, Any]) -> str:
    """The figures for people."""

    def line(name: str, figures: dict[str, Any], unit: str) -> str:
        return f"{name:<48}{figures['median']:>12,.1f} {unit} ({figures['lowest']:,.1f} to {figures['highest']:,.1f})"

    checked = result["check"]
    lines = [
        ", ".join(f"{name} {value}" for name, value in result["machine"].items()),
        f"{result['preset']} without conditioning: {result['parameters']:,} parameters, "
        f"{result['macs_per_sample']:,} MAC per sample, batch 1, {result['samples']:,} samples a repeat",
        f"checked over {checked['samples']:,} samples: replay equals the parallel form to "
        f"{checked['replay_error']:.1e}, "
        f"{checked['draws_across_an_edge_by_rounding']} draws across an edge by rounding",
        f"compilation {result['compile_seconds']:.1f} s",
        line(f"wavejax ({result['backend']})", result["samples_per_second"], "samples/s"),
    ]
    for peer in result["peers"]:
        lines.append(line(f"{peer['name']}, threads {peer['threads']}", peer["samples_per_second"], "samples/s"))
        lines.append(line("  wavejax is faster by", peer["times_faster"], "times"))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="measure wavenet_vocoder in the same run (extra `peers`)")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--num-samples", type=int, default=16000)
    parser.add_argument("--backend", default="auto")
    arguments = parser.parse_args()
    result = measure(
        peers=arguments.peers, repeats=arguments.repeats, num_samples=arguments.num_samples, backend=arguments.backend
    )
    print(table(result))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
