"""What no longer goes as it went: a GRU for each stream that learns online, all of them in one compiled loop.

python examples/anything/anomalies.py [SERIES.csv ...]

SERIES has a header and lines of a time and a value; without any, one is made up. Each value is forecast before it is
seen, and then learned from. `python -m benchmarks anomalies --data NAB` scores this on a public collection.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.layers import Chain, Dense, Recurrent

HIDDEN, REMEMBERED, QUIET = 16, 5000, 100  # states; values that errors are compared with; values between two alarms


def alarms(streams):
    """How far off each value was, in deviations of how far those before were; 0 unless more than the last QUIET."""
    graph, weights = nnx.split(Chain(Recurrent(GRU(1, HIDDEN, rngs=nnx.Rngs(0))), Dense(HIDDEN, 1, rngs=nnx.Rngs(1))))
    rows, learning = np.zeros((len(streams), max(map(len, streams))), np.float32), optax.adam(0.005)
    for row, values in zip(rows, streams, strict=True):  # against those that came so far
        mean = np.cumsum(values) / (count := np.arange(1, len(values) + 1))
        scale = np.sqrt(np.cumsum((values - mean) ** 2) / count + 1e-6 * (1 + abs(mean)))
        row[: len(values)] = np.clip((values - mean) / scale, -8, 8)

    def loss(weights, state, before, now):
        state, forecast = nnx.merge(graph, weights).step(state, jnp.full((1, 1, 1), before))
        off = jnp.abs(now - forecast.sum())
        return jnp.log1p(off**2), (state, off)

    def learn(carry, now):
        weights, memory, state, before, mean, variance, count = carry
        (_, (state, off)), slope = jax.value_and_grad(loss, has_aux=True)(weights, state, before, now)
        change, memory = learning.update(slope, memory)
        share, apart = jnp.maximum(1 / count, 1 / REMEMBERED), off - mean
        after = mean + share * apart, (1 - share) * (variance + share * apart**2), count + 1
        return (optax.apply_updates(weights, change), memory, state, now, *after), apart / jnp.sqrt(variance + 1e-4)

    start = weights, learning.init(weights), nnx.merge(graph, weights).init_state(1), 0.0, 0.0, 1.0, 2
    told = np.asarray(jax.jit(jax.vmap(lambda row: jax.lax.scan(learn, start, row)[1]))(rows))
    before = np.lib.stride_tricks.sliding_window_view(np.pad(told, ((0, 0), (QUIET, 0)))[:, :-1], QUIET, axis=1)
    return [np.where(row > of.max(axis=1), row, 0)[: len(s)] for row, of, s in zip(told, before, streams, strict=True)]


if __name__ == "__main__":
    lines = [Path(path).read_text("utf-8-sig").splitlines()[1:] for path in sys.argv[1:]]
    tables = [[line.split(",") for line in of_table if line.strip()] for of_table in lines]
    wave = 20 + 10 * np.sin(np.arange(3000) / 20) + np.random.default_rng(0).standard_normal(3000)
    tables = tables or [[(n, value + 25 * (n in range(2000, 2020))) for n, value in enumerate(wave)]]
    for table, told in zip(tables, alarms([[float(value) for _, value in table] for table in tables]), strict=True):
        for at in np.argsort(-told)[:3]:
            print(f"{table[at][0]}: {float(table[at][1]):g}, {told[at]:.0f} deviations")
