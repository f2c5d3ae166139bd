"""Every backend and type of weights through `generate`, taking turns: `python -m benchmarks.backends`.

Two models with fresh parameters: 20 layers R64 S256 with 256 classes and no conditioning (the model other projects'
figures are for), and the preset of the shipped voice, its conditioning network included. What the draws are worth is
checked by `python -m benchmarks.run generation`; this is the short table of README.
"""

import dataclasses
import time

import jax
import numpy as np

from benchmarks.environment import describe_machine
from wavejax.generation import generate
from wavejax.models.wavenet import WaveNet, WaveNetConfig, initial_params
from wavejax.models.wavenet_presets import get_preset

BACKENDS = (("scan", None), ("cpu", None), ("cpu", "bfloat16"), ("cpu", "int8"))
REPEATS = 3


def measure(name: str, config: WaveNetConfig, batch: int, num_samples: int) -> None:
    """Print samples/s, all streams together: median, lowest and highest of the repeats."""
    model = WaveNet(config)
    params = initial_params(model, jax.random.key(0))
    frames = None
    if model.hop_length is not None:
        frames = np.full((batch, -(-num_samples // model.hop_length), model.local_channels), -4, np.float32)

    def run(backend: str, dtype: str | None, count: int, seed: int) -> float:
        start = time.perf_counter()
        generate(
            model,
            params,
            num_samples=count,
            batch_size=batch,
            seed=seed,
            backend=backend,
            dtype=dtype,
            local_conditioning=frames,
        )
        return batch * count / (time.perf_counter() - start)

    for backend, dtype in BACKENDS:
        run(backend, dtype, 300, 0)  # compiles
    speeds: dict[tuple[str, str | None], list[float]] = {each: [] for each in BACKENDS}
    for seed in range(REPEATS):
        for backend, dtype in BACKENDS:
            speeds[backend, dtype].append(run(backend, dtype, num_samples, seed))
    for (backend, dtype), values in speeds.items():
        middle, low, high = np.median(values), min(values), max(values)
        print(f"{name:24}  {batch:5}  {backend:5}  {dtype or 'float32':8}  {middle:9,.0f}  ({low:,.0f} to {high:,.0f})")


def main() -> None:
    """The whole table, about two minutes."""
    print(describe_machine())
    print(f"{'model':24}  batch  {'':5}  {'weights':8}  samples/s")
    plain = dataclasses.replace(get_preset("nv-wavenet-20"), frame_network=None, upsampler=None)
    measure("20 layers R64 S256", plain, 1, 8000)
    measure("20 layers R64 S256", plain, 16, 3000)
    measure("speech-16k", get_preset("speech-16k"), 1, 16000)
    measure("speech-16k", get_preset("speech-16k"), 16, 6000)


if __name__ == "__main__":
    main()
