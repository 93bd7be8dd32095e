"""Makes calls with arguments of the wrong kind, and prints what each says, as JSON: see tests/test_bad_input.py."""

import json
import tempfile

import numpy as np
from flax import nnx

from streamrnn import Listener, Model, Pool, Stream, load, run_file, sample
from streamrnn.cells import GRU
from streamrnn.layers import Chain, Recurrent, Residual

CALLS = [
    "Listener(model, sample_rate='8000')",
    "Stream(model, sample_rate='8000')",
    "Pool(model, capacity=2).open(sample_rate='8000')",
    "run_file(model, zeros, sample_rate='8000')",
    "load('vad', sample_rate='8000')",
    "Listener(model).feed('hello')",
    "Listener(model).feed(None)",
    "Chain(cell)",
    "Chain([Chain()])",
    "Chain(Chain)",
    "Residual(cell, 4)",
    "Recurrent(Chain())",
    "Model.of(cell, sample_rate=16000, hop_samples=160)",
    "Model.of(Chain(), sample_rate='16000', hop_samples=160)",
    "load(None)",
    "load(model)",
    "load('nofile.safetensors')",
    "load('nofolder/x')",
    "load('nofile.onnx')",
    "load('vadd')",
    "load('keyword')",
    "load(zeros_file)",
    "sample('conversaton')",
    "load('phrases', phrases=['computr'])",
]


def said(call: str, names: dict) -> str:
    try:
        return f"nothing, and gives {eval(call, names)!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


with tempfile.NamedTemporaryFile(suffix=".pt") as file:
    names = {
        **{each.__name__: each for each in (Listener, Model, Pool, Stream, load, run_file, sample)},
        **{each.__name__: each for each in (Chain, Recurrent, Residual)},
        "model": load("vad"),
        "cell": GRU(4, 4, rngs=nnx.Rngs(0)),
        "zeros": np.zeros(1600, np.float32),
        "zeros_file": file.name,
    }
    print(json.dumps({call: said(call, names) for call in CALLS}))
