"""An autoregressive head for several binary values, each of which depends on those before it."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

from streamrnn.contract import Stateless
from streamrnn.shapes import Frames


class MADE(Stateless):
    """[context, values] -> the logit of each value, given the context and the values before it: context + items numbers
    in, `items` out.

    The joint probability of all values is the product of these and takes one pass. Drawing takes one pass per value.

    Args:
        context: number of inputs that all values depend on.
        items: number of values, each 0 or 1.
        hidden: number of hidden units.
        rngs: random streams that draw the weights.

    Raises:
        ValueError: there are fewer than two values.

    Source: Germain et al. 2015, "MADE: masked autoencoder for distribution estimation", with one hidden layer and
    direct connections.
    """

    def __init__(self, context: int, items: int, hidden: int, *, rngs: nnx.Rngs):
        if items < 2:
            raise ValueError(f"MADE got items={items}; it needs at least two, which can depend on each other.")
        self.context, self.items, self.hidden = context, items, hidden
        self.of_context = nnx.Linear(context, hidden + items, rngs=rngs)
        normal = nnx.initializers.lecun_normal()
        self.inward = nnx.Param(normal(rngs.params(), (items, hidden), jnp.float32))
        self.outward = nnx.Param(normal(rngs.params(), (hidden, items), jnp.float32))
        self.direct = nnx.Param(jnp.zeros((items, items), jnp.float32))

    def __call__(self, x: Frames) -> Frames:
        return self.logits(x)

    def logits(self, x: Float[jax.Array, "*rows in"]) -> Float[jax.Array, "*rows items"]:
        """The same, for rows of any shape."""
        values = x[..., self.context :]
        to_hidden, to_items = jnp.split(self.of_context(x[..., : self.context]), [self.hidden], axis=-1)
        inward, outward, direct = _masks(self.items, self.hidden)
        hidden = jax.nn.relu(to_hidden + values @ (self.inward * inward))
        return to_items + hidden @ (self.outward * outward) + values @ (self.direct * direct)

    def log_probability(
        self, context: Float[jax.Array, "*rows context"], values: Float[jax.Array, "*rows items"]
    ) -> Float[jax.Array, "*rows"]:
        """The joint log-probability of all values, in nats."""
        logits = self.logits(jnp.concatenate([context, values], axis=-1))
        return jnp.sum(values * jax.nn.log_sigmoid(logits) + (1 - values) * jax.nn.log_sigmoid(-logits), axis=-1)

    def draw(
        self,
        context: Float[jax.Array, "*rows context"],
        uniforms: Float[jax.Array, "*rows items"],
        temperature: float | Float[jax.Array, ""],
    ) -> Float[jax.Array, "*rows items"]:
        """Draws values by their probabilities, with logits divided by the temperature; uniforms are from [0, 1)."""

        def next_one(number: jax.Array, values: jax.Array) -> jax.Array:
            logit = self.logits(jnp.concatenate([context, values], axis=-1))[..., number]
            drawn = uniforms[..., number] < jax.nn.sigmoid(logit / temperature)
            return values.at[..., number].set(drawn.astype(values.dtype))

        return jax.lax.fori_loop(0, self.items, next_one, jnp.zeros(uniforms.shape, jnp.float32))


def _masks(items: int, hidden: int) -> tuple[Bool[np.ndarray, "..."], ...]:
    """The connections allowed: values to hidden units, hidden units to logits, values to logits."""
    # A hidden unit of degree d receives the first d values, and feeds the logits of those after them.
    degrees, places = 1 + np.arange(hidden) % (items - 1), np.arange(items)
    return places[:, None] < degrees, degrees[:, None] <= places, places[:, None] < places


__all__ = ["MADE"]
