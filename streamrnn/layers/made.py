"""An autoregressive head: many numbers of 0 or 1, each of which depends on those before it."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

from streamrnn.contract import Stateless
from streamrnn.shapes import Frames


class MADE(Stateless):
    """[context, values] -> the logit of each value, by the context and the values before it: context + items numbers
    in, `items` out.

    So the probability of all values together is the product of these, and one pass gives it. To draw takes a pass for
    each value.

    Args:
        context: numbers that all values depend on.
        items: values, each 0 or 1.
        hidden: hidden units.
        rngs: random streams that draw the weights.

    Raises:
        ValueError: there are fewer than two values.

    Source: Germain et al. 2015, "MADE: masked autoencoder for distribution estimation", with one hidden layer and
    direct connections.
    """

    def __init__(self, context: int, items: int, hidden: int, *, rngs: nnx.Rngs):
        if items < 2:
            raise ValueError(f"MADE got items={items}; it needs two or more, which can depend on each other.")
        self.context, self.items, self.hidden = context, items, hidden
        self.of_context = nnx.Linear(context, hidden + items, rngs=rngs)
        normal = nnx.initializers.lecun_normal()
        self.inward = nnx.Param(normal(rngs.params(), (items, hidden), jnp.float32))
        self.outward = nnx.Param(normal(rngs.params(), (hidden, items), jnp.float32))
        self.direct = nnx.Param(jnp.zeros((items, items), jnp.float32))

    def __call__(self, x: Frames) -> Frames:
        return self.logits(x)

    def logits(self, x: Float[jax.Array, "*rows in"]) -> Float[jax.Array, "*rows items"]:
        """The same, of any rows."""
        values = x[..., self.context :]
        to_hidden, to_items = jnp.split(self.of_context(x[..., : self.context]), [self.hidden], axis=-1)
        inward, outward, direct = _masks(self.items, self.hidden)
        hidden = jax.nn.relu(to_hidden + values @ (self.inward * inward))
        return to_items + hidden @ (self.outward * outward) + values @ (self.direct * direct)

    def log_probability(
        self, context: Float[jax.Array, "*rows context"], values: Float[jax.Array, "*rows items"]
    ) -> Float[jax.Array, "*rows"]:
        """Of all values together, in nats."""
        logits = self.logits(jnp.concatenate([context, values], axis=-1))
        return jnp.sum(values * jax.nn.log_sigmoid(logits) + (1 - values) * jax.nn.log_sigmoid(-logits), axis=-1)

    def draw(
        self,
        context: Float[jax.Array, "*rows context"],
        uniforms: Float[jax.Array, "*rows items"],
        temperature: float | Float[jax.Array, ""],
    ) -> Float[jax.Array, "*rows items"]:
        """Values by their probabilities, whose logits are divided by the temperature; uniforms are from [0, 1)."""

        def next_one(number: jax.Array, values: jax.Array) -> jax.Array:
            logit = self.logits(jnp.concatenate([context, values], axis=-1))[..., number]
            drawn = uniforms[..., number] < jax.nn.sigmoid(logit / temperature)
            return values.at[..., number].set(drawn.astype(values.dtype))

        return jax.lax.fori_loop(0, self.items, next_one, jnp.zeros(uniforms.shape, jnp.float32))


def _masks(items: int, hidden: int) -> tuple[Bool[np.ndarray, "..."], ...]:
    """Who may see whom: values and hidden units, hidden units and logits, values and logits."""
    # A hidden unit of degree d sees the first d values, and is seen by the logits of those after them.
    degrees, places = 1 + np.arange(hidden) % (items - 1), np.arange(items)
    return places[:, None] < degrees, degrees[:, None] <= places, places[:, None] < places


__all__ = ["MADE"]
