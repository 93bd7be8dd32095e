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
from streamrnn.layers import Dense

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
for attempt in attempts:
    try:
        attempt()
    except TypeError as error:
        print(error)
"""


def test_each_is_refused_with_the_way_to_the_right_one():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120)
    said = done.stdout.splitlines()
    assert len(said) == 8, done.stderr
    assert all("where a Model is needed. Pass streamrnn.load('vad')" in line for line in said[:5])
    assert [line.split()[3].rstrip(";") for line in said[5:]] == ["dict", "str", "bytes"]
    assert all("pass what" in line.lower() for line in said[5:])
