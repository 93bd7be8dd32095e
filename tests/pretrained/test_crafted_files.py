"""Files that somebody damaged or made up: each is loaded, or refused with a ValueError that names the file."""

import copy
import itertools
import json
import re
import shutil
import warnings

import numpy as np
import pytest

from streamrnn.pretrained import load, weights
from streamrnn.pretrained.descriptions import MOST_BYTES

VAD = weights.SHIPPED / "vad.safetensors"
VALUES = [
    *(None, True, False, 0, -1, 3, 0.5, -1e300, 1e-300, float("nan"), float("inf"), 10**9, 2**70),
    *("", "lstm", "x" * 50, [], [1], ["a", "b"], {}, {"a": 1}, [[]]),
]


@pytest.fixture
def path(tmp_path):
    for suffix in (".safetensors", ".json"):
        shutil.copy(VAD.with_suffix(suffix), tmp_path / f"model{suffix}")
    return tmp_path / "model.safetensors"


def described(path, change):
    """Changes the description by a function of it."""
    file = path.with_suffix(".json")
    description = json.loads(VAD.with_suffix(".json").read_text())
    change(description)
    file.write_text(json.dumps(description))


def outcome(path):
    """None where it loads, else what the ValueError says; any other error passes through, and fails the test."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load(path)
    except ValueError as error:
        assert re.search(r"model\.(json|safetensors)", str(error)), error
        return str(error)


def test_any_entry_with_any_value_is_loaded_or_refused(path):
    entries = ["format", "model", "settings", "decision"]
    settings = ["sample_rate", "hop_samples", "window_samples", "mels", "silence", "memory_s", "channels", "hidden"]
    settings += ["lookahead_frames", "core", "layers", "heads", "context_frames", "dtype"]
    decision = ["threshold", "off_threshold", "min_speech_ms", "padding_ms"]
    places = [[each] for each in entries]
    places += [["settings", each] for each in settings] + [["decision", each] for each in decision]
    refused = 0
    for place, value in itertools.product(places, VALUES):

        def change(description, place=place, value=value):
            for key in place[:-1]:
                description = description[key]
            description[place[-1]] = copy.deepcopy(value)

        described(path, change)
        refused += outcome(path) is not None
    assert refused > 0.8 * len(places) * len(VALUES)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"format": 1' + b"0" * 5000 + b"}", b" " * (MOST_BYTES + 1)])
def test_text_that_is_deep_or_long_is_refused(path, text):
    path.with_suffix(".json").write_bytes(text)
    assert "no description of a model" in outcome(path)


def test_a_model_of_a_hundred_thousand_layers_is_not_built(path):
    described(path, lambda description: description["settings"].update(layers=100_000))
    assert "far more arrays than the .safetensors file beside it has" in outcome(path)


def test_a_window_that_would_fill_the_memory_is_not_made(path):
    shutil.copy(weights.SHIPPED / "denoise.safetensors", path)
    settings = {"window_samples": 3 * 10**11, "hop_samples": 10**11}
    described(path, lambda d: d.update(model="Denoising", settings=settings, decision={}))
    assert "window_samples is 300000000000, which is no int (numbers: up to 1,048,576)" in outcome(path)


@pytest.mark.parametrize("name", ["Model", "load", "CORES", "__class__"])
def test_what_is_no_class_of_a_model_is_refused(path, name):
    described(path, lambda description: description.update(model=name))
    assert "none of streamrnn.models" in outcome(path)


def test_weights_with_changed_bytes_are_loaded_or_refused(path):
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    refused = 0
    for place in rng.integers(0, header, 150):
        changed = bytearray(whole)
        changed[place] = rng.integers(0, 256)
        path.write_bytes(changed)
        refused += outcome(path) is not None
    assert refused > 100


def test_arrays_of_types_that_numpy_lacks_are_refused(path):
    header = json.dumps({"x": {"dtype": "F8_E5M2", "shape": [4], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert outcome(path) is not None
