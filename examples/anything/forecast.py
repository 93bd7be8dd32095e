"""Forecasts that go on with every row: one table as it grows, then a thousand of them in one pool.

python examples/anything/forecast.py [TABLE.csv]

TABLE is like ETTh1.csv, hour by hour; without one, three weeks of a made-up transformer are forecast.
"""

import sys
import time
from pathlib import Path

import numpy as np

import streamrnn
from streamrnn.lines import ForecastLines

SITES = 1000

model = streamrnn.load("forecast")
columns = model.settings.columns


def made_up() -> list[str]:
    hours = np.arange(21 * 24)
    day = np.sin(2 * np.pi * hours / 24)
    rows = np.array(model.settings.mean) + np.array(model.settings.scale) * (
        day[:, None] + 0.1 * np.random.default_rng(0).standard_normal((len(hours), len(columns)))
    )
    return [",".join(f"{cell:.3f}" for cell in row) for row in rows]


table = Path(sys.argv[1]).read_text().splitlines() if len(sys.argv) > 1 else made_up()
lines, stream = ForecastLines(model), streamrnn.Stream(model)
answers = [answer for line in table if (answer := lines.answer(stream, line)) is not None]
print(f"{len(answers)} rows; the last one: {lines.said(answers[-1])}")

pool = streamrnn.Pool(model, capacity=SITES, queue_s=24 * 3600)  # a row is an hour
sites = [pool.open() for _ in range(SITES)]
rows = np.random.default_rng(1).normal(model.settings.mean, model.settings.scale, (3, SITES, len(columns)))
for hour, of_hour in enumerate(rows.astype(np.float32)):
    started = time.perf_counter()
    for site, row in zip(sites, of_hour, strict=True):
        site.feed(row[None])
    answered = sum(len(answer.outputs) for answer in pool.tick())
    if hour:  # the first tick compiles
        print(f"{answered} sites forecast {model.settings.horizon} h ahead in {time.perf_counter() - started:.2f} s")
