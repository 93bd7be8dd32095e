"""Spectra cut into bands that share their weights.

Frames of bands are flat, [batch, time, bands * features], as all frames are; band 0 is the lowest and comes first.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.contract import Layer, Stateless
from streamrnn.layers.recurrent import Recurrent
from streamrnn.shapes import Block, Frames, OutputFrame, State

_BY_INPUTS = nnx.initializers.variance_scaling(1.0, "fan_in", "uniform", batch_axis=0)
# Of what is joined to masks: they begin nearly the same everywhere.
_SMALL = nnx.initializers.variance_scaling(0.1, "fan_in", "uniform", batch_axis=0)

# Bands of equal width side by side: how many, and how many bins each has.
Region = tuple[int, int]


def regions(bins: int, bands: Sequence[int]) -> tuple[Region, ...]:
    """Equal parts of a spectrum, each cut into so many bands: ((bands, bins per band), ...) from low to high.

    The last band may reach beyond the last bin. Speech needs narrow bands below and has enough with wide ones above:
    `regions(301, (16, 6, 4))` is ((16, 6), (6, 17), (4, 26)).

    Raises:
        ValueError: there are fewer than two bins for each band.
    """
    if bins < 2 * len(bands) * max(bands, default=1) or min(bands, default=0) < 1:
        raise ValueError(
            f"{bins} bins can't be cut into {len(bands)} parts of {tuple(bands)} bands: each band needs two bins. "
            "Use a longer window or fewer bands."
        )
    widths = [round(bins / len(bands) / count) for count in bands[:-1]]
    below = sum(count * width for count, width in zip(bands, widths, strict=False))
    return tuple(zip(bands, [*widths, -(-(bins - below) // bands[-1])], strict=True))


class SplitBands(Stateless):
    """Numbers per bin -> features per band: x[batch, time, parts * bins] -> y[batch, time, bands * features].

        y_b = W_b x_b + c_b,   x_b: the bins of band b, `parts` numbers each

    Each band has its own matrix. Parts lie one after the other: first all bins of the first part.

    Source: Luo and Yu, "Music source separation with band-split RNN", IEEE/ACM TASLP, 2023.

    Args:
        regions: see `regions`.
        bins: bins of the spectrum.
        parts: numbers per bin.
        features: numbers per band.
        dtype: compute dtype.
        rngs: random streams that draw the parameters.
    """

    def __init__(
        self, regions: Sequence[Region], bins: int, parts: int, features: int, *, dtype=jnp.float32, rngs: nnx.Rngs
    ):
        self.regions, self.bins, self.parts, self.features = tuple(regions), bins, parts, features
        self.dtype = dtype
        shapes = [(bands, width * parts, features) for bands, width in regions]
        self.kernels = nnx.List([nnx.Param(_BY_INPUTS(rngs.params(), shape)) for shape in shapes])
        self.bias = nnx.Param(jnp.zeros(sum(bands for bands, _ in regions) * features))

    def __call__(self, x: Frames) -> Frames:
        batch, time, _ = x.shape
        x = x.reshape(batch * time, self.parts, self.bins).astype(self.dtype)
        beyond = sum(bands * width for bands, width in self.regions) - self.bins
        x, start, found = jnp.pad(x, ((0, 0), (0, 0), (0, beyond))), 0, []
        for (bands, width), kernel in zip(self.regions, self.kernels, strict=True):
            of_region = x[:, :, start : start + bands * width].reshape(-1, self.parts, bands, width)
            of_bands = jnp.moveaxis(of_region, 2, 0).reshape(bands, -1, self.parts * width)
            found.append(jnp.matmul(of_bands, kernel[...].astype(self.dtype)))
            start += bands * width
        y = jnp.moveaxis(jnp.concatenate(found), 0, 1).reshape(batch, time, -1)
        return y + self.bias[...].astype(self.dtype)


class JoinBands(Stateless):
    """The way back to bins: x[batch, time, bands * features] -> y[batch, time, parts * bins].

        y_b = W_b x_b + c_b

    Arguments as SplitBands's.
    """

    def __init__(
        self, regions: Sequence[Region], bins: int, parts: int, features: int, *, dtype=jnp.float32, rngs: nnx.Rngs
    ):
        self.regions, self.bins, self.parts, self.features = tuple(regions), bins, parts, features
        self.dtype = dtype
        shapes = [(bands, features, width * parts) for bands, width in regions]
        self.kernels = nnx.List([nnx.Param(_SMALL(rngs.params(), shape)) for shape in shapes])
        self.bias = nnx.Param(jnp.zeros(parts * bins))

    def __call__(self, x: Frames) -> Frames:
        batch, time, _ = x.shape
        x = jnp.moveaxis(x.reshape(batch * time, -1, self.features).astype(self.dtype), 1, 0)
        start, found = 0, []
        for (bands, width), kernel in zip(self.regions, self.kernels, strict=True):
            y = jnp.matmul(x[start : start + bands], kernel[...].astype(self.dtype))
            y = jnp.moveaxis(y.reshape(bands, -1, self.parts, width), 0, 2)
            found.append(y.reshape(-1, self.parts, bands * width))
            start += bands
        y = jnp.concatenate(found, axis=-1)[:, :, : self.bins].reshape(batch, time, -1)
        return y + self.bias[...].astype(self.dtype)


class EachBand(Stateless):
    """One stateless layer for all bands: x[batch, time, bands * features] -> y[batch, time, bands * out].

    Args:
        inner: maps frames of `features` numbers.
        features: numbers per band.
    """

    def __init__(self, inner: Stateless, features: int):
        self.inner, self.features = inner, features

    def __call__(self, x: Frames) -> Frames:
        batch, time, _ = x.shape
        return self.inner(x.reshape(batch, -1, self.features)).reshape(batch, time, -1)


class EachBandRecurrent(Layer):
    """A GRU over time in each band, weights shared: [batch, time, bands * features], same shape out.

    Bands don't hear each other; what is learned of one serves all. State: float32[batch, bands, features].

    Args:
        bands: how many.
        features: numbers per band, which is also the GRU's state.
        dtype: compute dtype.
        rngs: random streams that draw the parameters.
    """

    def __init__(self, bands: int, features: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.bands, self.features = bands, features
        self.inner = Recurrent(GRU(features, features, dtype=dtype, rngs=rngs))

    def init_state(self, batch_size: int) -> State:
        return jnp.zeros((batch_size, self.bands, self.features))

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self._run(self.inner.step, state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self._run(self.inner.scan, state, x)

    def _run(self, run: Callable, state: State, x: Frames) -> tuple[State, Frames]:
        batch, time, _ = x.shape
        x = jnp.moveaxis(x.reshape(batch, time, self.bands, -1), 2, 1).reshape(-1, time, self.features)
        h, y = run(state.reshape(-1, self.features), x)
        y = jnp.moveaxis(y.reshape(batch, self.bands, time, -1), 1, 2).reshape(batch, time, -1)
        return h.reshape(state.shape), y


class AcrossBands(Stateless):
    """Two GRUs up and down the bands of each frame, joined by a matrix: [batch, time, bands * features], same out.

    They run over frequency, not time, so nothing is remembered from frame to frame.

    Args:
        bands: how many.
        features: numbers per band.
        hidden: state of each of the two GRUs.
        dtype: compute dtype.
        rngs: random streams that draw the parameters.
    """

    def __init__(self, bands: int, features: int, hidden: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.bands = bands
        self.up = Recurrent(GRU(features, hidden, dtype=dtype, rngs=rngs))
        self.down = Recurrent(GRU(features, hidden, dtype=dtype, rngs=rngs))
        self.join = nnx.Linear(2 * hidden, features, dtype=dtype, rngs=rngs)

    def __call__(self, x: Frames) -> Frames:
        batch, time, _ = x.shape
        x = x.reshape(batch * time, self.bands, -1)
        y = self.join(jnp.concatenate([_over(self.up, x), _over(self.down, x[:, ::-1])[:, ::-1]], axis=-1))
        return y.reshape(batch, time, -1)


def _over(layer: Recurrent, x: jax.Array) -> jax.Array:
    return layer.scan(layer.init_state(len(x)), x)[1]


__all__ = ["AcrossBands", "EachBand", "EachBandRecurrent", "JoinBands", "Region", "SplitBands", "regions"]
