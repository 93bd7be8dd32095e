"""The limit of a denoiser's attenuation."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamrnn.decisions.outlets import SoundBack


@dataclass(frozen=True)
class SoundSettings:
    """How denoised sound is mixed with the original.

    Attributes:
        max_attenuation_db: maximum attenuation of noise; some of the original is mixed in. 12 to 20 dB keep a room
            sounding natural; 100 is practically unlimited.

    Raises:
        ValueError: max_attenuation_db is negative or not a number.
    """

    max_attenuation_db: float = 100.0

    def __post_init__(self):
        if not self.max_attenuation_db >= 0:
            raise ValueError(f"max_attenuation_db is {self.max_attenuation_db}; it must be 0 or above.")

    @property
    def original_share(self) -> float:
        """The share of the original in the output, 0 to 1."""
        return 10 ** (-self.max_attenuation_db / 20)

    def outlet(self, labels: Sequence[str], frame_s: float, lookahead_s: float) -> SoundBack:
        """The outlet of a stream of frames of samples."""
        return SoundBack(self)


__all__ = ["SoundSettings"]
