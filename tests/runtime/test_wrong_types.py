"""What is no model and no snapshot, in a process of its own: in tests, the shape checker would answer first."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCRIPT = """
import numpy as np
from flax import nnx
import streamrnn
from streamrnn.layers import Chain, Dense, Embedding
from streamrnn.signals import Series

model = streamrnn.load("vad")
stream, listener = streamrnn.Stream(model), streamrnn.Listener(model)
pooled = streamrnn.Pool(model, 1, warm_up=False).open()
dense = Dense(1, 1, rngs=nnx.Rngs(0))
attempts = [
    lambda: streamrnn.Stream("vad"),
    lambda: streamrnn.Listener(dense),
    lambda: streamrnn.listen("vad", np.zeros(9), 16_000),
    lambda: streamrnn.run_file(dense, np.zeros(9), 16_000),
    lambda: streamrnn.Pool(dense),
    lambda: stream.restore({}),
    lambda: listener.restore("snapshot"),
    lambda: pooled.restore(b""),
]
items = streamrnn.Model.of(
    Chain(Embedding(3, 3, rngs=nnx.Rngs(0)), Dense(3, 3, rngs=nnx.Rngs(0))),
    signal=Series(1, 10.0, "int32", ids=3),
    readout="softmax",
)
numbers = [
    lambda: stream.skip(None),
    lambda: listener.skip("160"),
    lambda: pooled.skip(np.zeros(3)),
    lambda: streamrnn.Pool(model, True),
    lambda: streamrnn.Pool(model, 1, queue_s="1"),
    lambda: streamrnn.Pool(model, 1, queue_s=float("nan")),
    lambda: streamrnn.Pool(model, 1, queue_s=float("inf")),
    lambda: streamrnn.Pool(model, 1, warm_up=False).grow("2"),
    lambda: streamrnn.Listener(model, threshold=None),
    lambda: streamrnn.Listener(model, min_silence_ms=[300]),
    lambda: streamrnn.generate(items, [1], 2.5),
    lambda: streamrnn.generate(items, [1], top_k=1.5),
    lambda: streamrnn.generate(items, [1], seed=None),
    lambda: streamrnn.generate(items, [1], temperature="1"),
    lambda: streamrnn.Model.of(dense, signal=Series(1, 10.0), labels="loud"),
]
for attempt in attempts + numbers:
    try:
        attempt()
    except (TypeError, ValueError) as error:
        print(error)
"""


def test_each_is_refused_with_the_way_to_the_right_one():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120)
    said = done.stdout.splitlines()
    assert len(said) == 23, done.stderr
    assert all("where a Model is needed. Pass streamrnn.load('vad')" in line for line in said[:5])
    assert [line.split()[3].rstrip(";") for line in said[5:8]] == ["dict", "str", "bytes"]
    assert all("pass what" in line.lower() for line in said[5:8])
    assert all("needs a whole number of samples or frames" in line for line in said[8:11])
    assert all(line.startswith(("A pool got ", "Pool.grow got '2'")) for line in said[11:16])
    assert all("it must be a number, such as" in line for line in said[16:18])
    assert all(line.startswith("generate got items=") for line in said[18:22])
    assert "the labels 'loud', one text. Pass ('loud',)." in said[22]
