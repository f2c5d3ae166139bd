"""Tacotron 2 beside torch's own layers with random weights (extra `peers`), at a small size and at the published one.

The public network's layers (NVIDIA/tacotron2 hparams.py and the paper's section 2) are put together again from
`torch.nn` alone: convolutions, batch normalisation, a packed bidirectional LSTM, LSTM cells and linear maps, under the
names of its state_dict. Dropout of the prenet is the same in both: a unit stays where its uniform is at least 0.5.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conversion import networks
from wavejax.checkpoints.leaves import nested
from wavejax.conversion import tacotron2
from wavejax.models.tacotron2 import PRESETS, Tacotron2Config

torch = pytest.importorskip("torch")

SMALL = Tacotron2Config(num_classes=38, frames_per_step=3, **networks.SMALL_TACOTRON2)
TOLERANCE = 1e-4
"""Float32 beside float32, sums of up to 2,560 products in another order."""


class Case(NamedTuple):
    config: Tacotron2Config
    state: dict[str, np.ndarray]
    params: Any
    peer: Any


class Peer(torch.nn.Module):
    """The layers under their public names."""

    def __init__(self, config: Tacotron2Config) -> None:
        super().__init__()
        wide, bands, inner = config.encoder_channels, config.spec.num_channels, config.postnet_channels
        frame, taps = bands * config.frames_per_step, config.kernel_size
        self.config, self.embedding = config, torch.nn.Embedding(config.num_classes, wide)

        def stack(widths: list[int]) -> Any:
            layers = [
                torch.nn.Sequential(torch.nn.Conv1d(i, o, taps, padding=taps // 2), torch.nn.BatchNorm1d(o))
                for i, o in itertools.pairwise(widths)
            ]
            return torch.nn.ModuleDict({"convolutions": torch.nn.ModuleList(layers)})

        self.encoder = stack([wide] * (config.num_encoder_layers + 1))
        self.encoder["lstm"] = torch.nn.LSTM(wide, wide // 2, batch_first=True, bidirectional=True)
        self.postnet = stack([bands, *[inner] * (config.num_postnet_layers - 1), bands])

        def linear(inputs: int, outputs: int, bias: bool = False) -> Any:
            return torch.nn.Linear(inputs, outputs, bias=bias)

        width = config.location_kernel_size
        conv = torch.nn.Conv1d(2, config.location_filters, width, padding=width // 2, bias=False)
        places = {"location_conv": conv, "location_dense": linear(config.location_filters, config.attention_channels)}
        attention = {
            "query_layer": linear(config.attention_units, config.attention_channels),
            "memory_layer": linear(wide, config.attention_channels),
            "v": linear(config.attention_channels, 1),
            "location_layer": torch.nn.ModuleDict(places),
        }
        layers = [linear(frame, config.prenet_channels), linear(config.prenet_channels, config.prenet_channels)]
        self.decoder = torch.nn.ModuleDict(
            {
                "prenet": torch.nn.ModuleDict({"layers": torch.nn.ModuleList(layers)}),
                "attention_rnn": torch.nn.LSTMCell(config.prenet_channels + wide, config.attention_units),
                "attention_layer": torch.nn.ModuleDict(attention),
                "decoder_rnn": torch.nn.LSTMCell(config.attention_units + wide, config.decoder_units),
                "linear_projection": linear(config.decoder_units + wide, frame, bias=True),
                "gate_layer": linear(config.decoder_units + wide, 1, bias=True),
            }
        )

    def encode(self, symbols: Any, counts: Any) -> Any:
        x = self.embedding(symbols).transpose(1, 2)
        for layer in self.encoder["convolutions"]:
            x = torch.relu(layer(x))
        packed = torch.nn.utils.rnn.pack_padded_sequence(x.transpose(1, 2), counts, batch_first=True)
        return torch.nn.utils.rnn.pad_packed_sequence(self.encoder["lstm"](packed)[0], batch_first=True)[0]

    def prenet(self, frame: Any, noise: Any) -> Any:
        for layer, drawn in zip(self.decoder["prenet"]["layers"], noise.chunk(2, dim=-1), strict=True):
            frame = torch.relu(layer(frame)) * (drawn >= 0.5) * 2
        return frame

    def attend(self, query: Any, memory: Any, valid: Any, weights: Any, total: Any) -> tuple[Any, Any]:
        layer = self.decoder["attention_layer"]
        places = layer["location_layer"]["location_conv"](torch.stack([weights, total], dim=1)).transpose(1, 2)
        places = layer["location_layer"]["location_dense"](places)
        energies = layer["v"](torch.tanh(layer["query_layer"](query)[:, None] + places + layer["memory_layer"](memory)))
        weights = torch.softmax(energies[..., 0].masked_fill(~valid, -torch.inf), dim=1)
        return torch.bmm(weights[:, None], memory)[:, 0], weights

    def decode(self, memory: Any, valid: Any, noise: Any, teacher: Any | None) -> tuple[Any, Any, Any]:
        """Frames, gates and attention of every step; `teacher` is fed back in place of its own."""
        batch = len(memory)
        attention = decoder = None
        context, total = torch.zeros(batch, memory.shape[2]), torch.zeros(batch, memory.shape[1])
        weights, frame = total, torch.zeros(batch, self.decoder["linear_projection"].out_features)
        made: list[tuple[Any, Any, Any]] = []
        for step in range(noise.shape[1]):
            heard = torch.cat([self.prenet(frame, noise[:, step]), context], dim=1)
            attention = self.decoder["attention_rnn"](heard, attention)
            context, weights = self.attend(attention[0], memory, valid, weights, total)
            total = total + weights
            decoder = self.decoder["decoder_rnn"](torch.cat([attention[0], context], dim=1), decoder)
            output = torch.cat([decoder[0], context], dim=1)
            frame = self.decoder["linear_projection"](output)
            made.append((frame, self.decoder["gate_layer"](output)[:, 0], weights))
            frame = frame if teacher is None else teacher[:, step]
        frames, gates, rows = (torch.stack(each, dim=1) for each in zip(*made, strict=True))
        return frames.reshape(batch, -1, self.config.spec.num_channels), gates, rows

    def finish(self, draft: Any) -> Any:
        x, (*first, last) = draft.transpose(1, 2), self.postnet["convolutions"]
        for layer in first:
            x = torch.tanh(layer(x))
        return draft + last(x).transpose(1, 2)


def made(config: Tacotron2Config) -> Case:
    state = networks.tacotron2(config, nested=False)
    peer = Peer(config)
    peer.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    targets: dict[str, Any] = {}
    for rule in tacotron2._rules(config, nested=False):
        targets |= dict(zip(rule.targets, rule.make(*(state[name] for name in rule.sources)), strict=True))
    params = nested({name: jnp.asarray(value) for name, value in targets.items()})
    return Case(config, state, params, peer.eval())


@pytest.fixture(scope="module", params=["small", "published"])
def case(request: pytest.FixtureRequest) -> Case:
    return made(SMALL if request.param == "small" else PRESETS["tacotron2"])


SYMBOLS = np.random.default_rng(1).integers(1, 38, (2, 14)).astype(np.int32)
COUNTS = np.asarray([14, 14], np.int32)
STEPS = 30


def noise_of(config: Tacotron2Config) -> np.ndarray:
    return np.random.default_rng(2).uniform(0, 1, (2, STEPS, config.noise_size)).astype(np.float32)


def ours(case: Case, method: str, *given: Any) -> Any:
    model = case.config.build(precision="highest")
    return jax.jit(lambda params, *given: model.apply({"params": params}, *given, method=method))(case.params, *given)


def theirs(case: Case, teacher: np.ndarray | None) -> dict[str, np.ndarray]:
    with torch.no_grad():
        memory = case.peer.encode(torch.tensor(SYMBOLS).long(), torch.tensor(COUNTS))
        valid = torch.arange(SYMBOLS.shape[1])[None] < torch.tensor(COUNTS)[:, None]
        forced = None if teacher is None else torch.tensor(teacher).reshape(2, STEPS, -1)
        draft, gates, rows = case.peer.decode(memory, valid, torch.tensor(noise_of(case.config)), forced)
        found = {"memory": memory, "draft": draft, "mel": case.peer.finish(draft), "gates": gates, "attention": rows}
    return {name: value.numpy() for name, value in found.items()}


def assert_same(said: Any, wanted: dict[str, np.ndarray]) -> None:
    for name in ("draft", "mel", "gates", "attention"):
        apart = float(np.abs(np.asarray(getattr(said, name)) - wanted[name]).max())
        assert apart < TOLERANCE, f"{name} differs by {apart}"
        print(f"{name:10} largest difference {apart:.1e} of values up to {np.abs(wanted[name]).max():.2f}")


def test_the_encoder_is_torchs(case: Case) -> None:
    memory = ours(case, "encode", SYMBOLS, COUNTS)
    wanted = theirs(case, None)["memory"]
    assert np.std(wanted) > 0.05
    np.testing.assert_allclose(memory.values, wanted, atol=TOLERANCE)


def test_speech_under_the_same_dropout_is_torchs(case: Case) -> None:
    """Free running: each step reads what the one before it has made, and no gate ends it."""
    said = ours(case, "speak", SYMBOLS, COUNTS, noise_of(case.config), np.float32(2.0))
    wanted = theirs(case, None)
    assert np.std(wanted["mel"] - wanted["draft"]) > 0.05
    assert_same(said, wanted)


def test_every_step_of_given_frames_is_torchs(case: Case) -> None:
    frames = STEPS * case.config.frames_per_step
    mel = np.random.default_rng(3).normal(0, 1, (2, frames, 80)).astype(np.float32)
    counts = np.asarray([frames, frames], np.int32)
    assert_same(ours(case, "__call__", SYMBOLS, COUNTS, mel, counts, noise_of(case.config)), theirs(case, mel))
