"""Settings of training: duration, learning rate, checkpoints."""

import math
from dataclasses import dataclass, field
from typing import Literal

POSITIVE = ("steps", "learning_rate", "clip_norm", "accumulate", "validate_every", "log_every")
NOT_NEGATIVE = ("warmup_steps", "weight_decay", "patience", "seed", "dp_clip", "dp_noise")
# JAX's random numbers begin with 32 bits; larger seeds would give the weights of other ones.
SEEDS = 2**32


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train.

    Raises:
        ValueError: a number that must be above 0 is not, one that must not be negative is, or one is infinite; the seed
            is 2^32 or more, ema_decay is not in [0, 1), or there is no such schedule.
    """

    steps: int = 1200
    """Number of updates."""
    learning_rate: float = 2e-3
    """Peak learning rate, reached after the warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Schedule after the peak: cosine or linear decay to a hundredth of it, or constant."""
    warmup_steps: int = 50
    """Updates over which the learning rate rises from zero."""
    weight_decay: float = 1e-4
    """AdamW's weight decay."""
    clip_norm: float = 1.0
    """Gradient norm above which gradients are scaled down."""
    accumulate: int = 1
    """Gradient accumulation: process a batch in this many parts. Takes the memory of one part and gives the gradients
    of the whole batch."""
    ema_decay: float = 0.0
    """Decay of an exponential moving average of the weights, which is then validated and kept, such as 0.999; 0: no
    average."""
    patience: int = 0
    """Stop after this many validations without improvement; 0: never."""
    validate_every: int = 100
    """Updates between validations and checkpoints."""
    backend: Literal["auto", "scan", "associative", "cudnn", "pallas"] = field(
        default="auto", metadata={"identity": False}
    )
    """Backend of recurrent layers over many frames; all give the same numbers, up to rounding."""
    remat_frames: int | None = field(default=None, metadata={"identity": False})
    """Rematerialise: recompute intermediate values for gradients, in chunks of this many frames. Takes less memory and
    more time."""
    log_every: int = field(default=50, metadata={"identity": False})
    """Updates between lines of metrics.jsonl."""
    seed: int = 0
    """Random seed of weights and batches."""
    dp_clip: float = 0.0
    """Differential privacy: norm to which the gradient of each recording or speaker is clipped; 0: no privacy."""
    dp_noise: float = 0.0
    """Standard deviation of the noise on the sum of these gradients, as a multiple of --dp-clip. About 1 is private."""
    dp_delta: float = 1e-5
    """The delta at which to report epsilon; choose it below one over the number of recordings."""
    dp_unit: Literal["clip", "speaker"] = "clip"
    """The unit that epsilon protects: each recording, or each speaker with all recordings."""

    @property
    def private(self) -> bool:
        """Whether training is differentially private."""
        return self.dp_noise > 0

    def __post_init__(self):
        for name in POSITIVE:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0, and finite.")
        for name in NOT_NEGATIVE:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or above, and finite.")
        if self.seed >= SEEDS:
            raise ValueError(f"seed is {self.seed}; it must be below {SEEDS:,}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay is {self.ema_decay}; it must be 0 or above and below 1.")
        if (self.dp_clip > 0) != (self.dp_noise > 0):
            raise ValueError(
                f"dp_clip is {self.dp_clip} and dp_noise {self.dp_noise}; private training needs both above 0."
            )
        if self.private and self.accumulate > 1:
            raise ValueError(f"accumulate is {self.accumulate}; private training clips row by row. Leave it at 1.")
        if not 0 < self.dp_delta < 1:
            raise ValueError(f"dp_delta is {self.dp_delta}; it must be above 0 and below 1, such as 1e-5.")
        if self.schedule not in ("cosine", "linear", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; it must be cosine, linear or constant.")


__all__ = ["SEEDS", "TrainingSettings"]
