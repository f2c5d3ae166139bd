"""Properties of a model that are read from its configuration."""

from typing import Any

from jaxtyping import Array, Float


class ReadsFrames:
    """A mixin for linen modules: what their `config` already says of the frames that they read.

    It holds no parameters and computes nothing.
    """

    config: Any

    @property
    def hop_length(self) -> int | None:
        """Samples per conditioning frame; None without local conditioning."""
        return self.config.hop_length

    @property
    def local_channels(self) -> int:
        """Channels of a conditioning frame; 0 without local conditioning."""
        return int(self.config.local_channels)

    @property
    def num_speakers(self) -> int:
        """Speakers known by id."""
        return int(self.config.num_speakers)

    @property
    def lookback(self) -> int:
        """Past frames that a frame interval's samples depend on."""
        return int(self.config.lookback)

    @property
    def lookahead(self) -> int:
        """Future frames that a frame interval's samples depend on."""
        return int(self.config.lookahead)


class ReadsConfig(ReadsFrames):
    """A mixin for linen modules: the attributes of an `AutoregressiveModel` that its `config` already has.

    A model inherits these attributes and a check of its input.
    """

    @property
    def distribution(self) -> Any:
        """The output distribution, a `Distribution`."""
        return self.config.distribution

    @property
    def coding(self) -> Any:
        """How the waveform becomes values, a `Coding`."""
        return self.config.coding

    @property
    def receptive_field(self) -> int:
        """Number of past values that one prediction sees."""
        return int(self.config.receptive_field)

    @property
    def global_channels(self) -> int:
        """Channels of a speaker's embedding, or of the given vectors; 0 without global conditioning."""
        return int(self.config.global_channels)

    def checked_frames(
        self, frames: Float[Array, "batch frames channels"] | None, first: int, length: int
    ) -> Float[Array, "batch frames channels"]:
        """The frames, after a check that they cover `length` samples from position `first` on. The interval of
        frames[:, lookback] begins at position 0.

        Raises ValueError if there are no frames or too few, or if they have other channels.
        """
        name = type(self).__name__
        if frames is None:
            raise ValueError(f"this {name} needs conditioning frames [B, F, {self.local_channels}], got none")
        if frames.shape[-1] != self.local_channels:
            raise ValueError(f"conditioning frames need {self.local_channels} channels, got {frames.shape[-1]}")
        needed = self.lookback + self.lookahead + -(-(first + length) // (self.hop_length or 1))
        if frames.shape[1] < needed or first < 0:
            raise ValueError(
                f"{length} samples from {first} on need {needed} frames (of which lookback {self.lookback} and "
                f"lookahead {self.lookahead}), got {frames.shape[1]}"
            )
        return frames
