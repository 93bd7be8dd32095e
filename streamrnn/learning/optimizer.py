"""AdamW and its learning rate."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax.contrib import differentially_private_aggregate

from streamrnn.learning.settings import TrainingSettings


def make_schedule(settings: TrainingSettings) -> Callable[[Any], Any]:
    """Update number, from 0 -> learning rate: a linear warm-up (at most half of the training), then the schedule."""
    peak, warmup = settings.learning_rate, min(settings.warmup_steps, settings.steps // 2)
    remaining = settings.steps - warmup
    after = {
        "cosine": optax.cosine_decay_schedule(peak, remaining, alpha=0.01),
        "linear": optax.linear_schedule(peak, peak / 100, remaining),
        "constant": optax.constant_schedule(peak),
    }[settings.schedule]
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


def make_optimizer(settings: TrainingSettings, secret: int = 0) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019) on gradients clipped by their global norm (Pascanu et al. 2013); in private
    training on per-row gradients, [rows, ...], each clipped, summed with noise from `secret` (Abadi et al. 2016)."""
    # All 64 bits: a seed would keep only the last 32, which can be found by brute force.
    key = jax.random.wrap_key_data(jnp.array([secret >> 32, secret & 0xFFFFFFFF], jnp.uint32), impl="threefry2x32")
    private = (differentially_private_aggregate(settings.dp_clip, settings.dp_noise, key),)
    return optax.chain(
        *(private if settings.private else ()),
        optax.clip_by_global_norm(settings.clip_norm),
        optax.adamw(make_schedule(settings), weight_decay=settings.weight_decay),
    )


__all__ = ["make_optimizer", "make_schedule"]
