"""How long and how fast to train."""

from dataclasses import dataclass, field
from typing import Literal

POSITIVE = ("steps", "learning_rate", "clip_norm", "accumulate", "validate_every", "log_every")
NOT_NEGATIVE = ("warmup_steps", "weight_decay", "patience", "seed")


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train.

    Raises:
        ValueError: a number that must be above 0 is not, one that must not be negative is, ema_decay is not in [0, 1),
            or there is no such schedule.
    """

    steps: int = 1200
    """Updates of the weights."""
    learning_rate: float = 2e-3
    """Peak learning rate, reached after the warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """From the peak on: down to a hundredth of it along a cosine or a line, or no change."""
    warmup_steps: int = 50
    """Updates over which the learning rate rises from zero."""
    weight_decay: float = 1e-4
    """AdamW's weight decay."""
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it."""
    accumulate: int = 1
    """Parts that each batch is worked off in: memory for one part, gradients of the whole."""
    ema_decay: float = 0.0
    """Validate and keep an exponential moving average of the weights, e.g. 0.999; 0: the weights themselves."""
    patience: int = 0
    """Stop after so many validations without improvement; 0: never."""
    validate_every: int = 100
    """Updates between validations and checkpoints."""
    backend: Literal["auto", "scan", "associative", "cudnn", "pallas"] = field(
        default="auto", metadata={"identity": False}
    )
    """How recurrent layers run over many frames; all ways give the same numbers, up to rounding."""
    remat_frames: int | None = field(default=None, metadata={"identity": False})
    """Of so many frames, what gradients need is computed anew instead of kept: less memory, more time."""
    log_every: int = field(default=50, metadata={"identity": False})
    """Updates between lines of metrics.jsonl."""
    seed: int = 0
    """Seed of the weights and of the batches."""

    def __post_init__(self):
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or above.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay is {self.ema_decay}; it must be 0 or above and below 1.")
        if self.schedule not in ("cosine", "linear", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; it must be cosine, linear or constant.")


__all__ = ["TrainingSettings"]
