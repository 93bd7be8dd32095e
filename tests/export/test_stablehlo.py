"""StableHLO files: the same numbers, by JAX alone, for any batch."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from streamrnn.export.stablehlo import export_stablehlo, load_stablehlo
from streamrnn.runtime import compiled_step
from streamrnn.runtime.export_format import initial_state

# What somebody writes who has JAX and no streamrnn.
ELSEWHERE = """
import json, sys
import jax, numpy as np
sys.modules["streamrnn"] = sys.modules["flax"] = None
path, pcm = sys.argv[1], np.load(sys.argv[2])
step = jax.export.deserialize(bytearray(open(path, "rb").read()))
about = json.load(open(path + ".json"))
states = [np.full((len(pcm), *s["shape"]), s.get("initial", 0), s["dtype"]) for s in about["states"]]
for block in np.split(pcm, pcm.shape[1] // about["block_samples"], axis=1):
    outputs, *states = step.call(block, *states)
np.save(sys.argv[3], outputs)
"""


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("stablehlo") / "vad.stablehlo"
    export_stablehlo(model("vad"), path, about={"name": "vad"})
    return path


def last_outputs(model, blocks):
    step = compiled_step(model, blocks.shape[1])
    state = step.fresh_state
    for block in blocks:
        state, y = step(state, block[:, None])
    return np.asarray(y)[:, 0]


@pytest.mark.parametrize("batch", [1, 3])
def test_an_exported_step_gives_the_same_numbers(batch, path, model, noise):
    exported, metadata = load_stablehlo(path)
    blocks, call = noise(4, batch, 160), jax.jit(exported.call)
    states = [initial_state(state, batch) for state in metadata["states"]]
    for block in blocks:
        outputs, *states = call(block, *states)
    np.testing.assert_allclose(outputs, last_outputs(model("vad"), blocks), rtol=0, atol=1e-6)


def test_it_runs_where_there_is_jax_and_no_streamrnn(path, model, noise, tmp_path):
    blocks = noise(2, 2, 160)
    np.save(tmp_path / "pcm.npy", np.concatenate(list(blocks), axis=1))
    arguments = [path, tmp_path / "pcm.npy", tmp_path / "y.npy"]
    subprocess.run([sys.executable, "-c", ELSEWHERE, *arguments], check=True, cwd=tmp_path, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), last_outputs(model("vad"), blocks), rtol=0, atol=1e-6)


def test_it_is_for_every_platform_and_says_what_an_onnx_file_says(path, exported):
    from streamrnn.runtime import OnnxModel

    program, metadata = load_stablehlo(path)
    assert set(program.platforms) == {"cpu", "cuda", "tpu"} == set(metadata["platforms"])
    of_onnx = OnnxModel(exported("vad")).metadata
    assert all(of_onnx[name] == metadata[name] for name in metadata.keys() - {"platforms"})


@pytest.fixture
def copied(path, tmp_path):
    copy = tmp_path / "copy.stablehlo"
    copy.write_bytes(path.read_bytes())
    (tmp_path / "copy.stablehlo.json").write_bytes(path.with_name("vad.stablehlo.json").read_bytes())
    return copy


def test_a_stale_file_is_refused_with_what_to_do(copied):
    beside = copied.with_name("copy.stablehlo.json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"format": 0}))
    with pytest.raises(ValueError, match=r"format 0; .* formats up to \d\. .* streamrnn export vad .*copy\.stablehlo"):
        load_stablehlo(copied)


def test_a_damaged_file_is_refused(copied):
    copied.write_bytes(copied.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"copy\.stablehlo is damaged"):
        load_stablehlo(copied)


def test_without_the_file_beside_it_there_is_nothing_to_run(copied):
    copied.with_name("copy.stablehlo.json").unlink()
    with pytest.raises(FileNotFoundError):
        load_stablehlo(copied)
