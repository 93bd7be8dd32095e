"""How much of what a model takes away from sound really goes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SoundSettings:
    """How the sound that a model gives is handed out.

    Attributes:
        max_attenuation_db: noise is made quieter by at most so much: some of the original is mixed in. 12 to 20 dB
            leave a room sounding like a room; 100 is as good as no limit.

    Raises:
        ValueError: max_attenuation_db is negative or no number.
    """

    max_attenuation_db: float = 100.0

    def __post_init__(self):
        if not self.max_attenuation_db >= 0:
            raise ValueError(f"max_attenuation_db is {self.max_attenuation_db}; it must be 0 or above.")

    @property
    def original_share(self) -> float:
        """The share of the original in what is handed out, 0 to 1."""
        return 10 ** (-self.max_attenuation_db / 20)


__all__ = ["SoundSettings"]
