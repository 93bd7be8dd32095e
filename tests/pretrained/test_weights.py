"""Models as files: what was saved comes back to the last bit, and what is no model is refused with a way out."""

import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from streamrnn.contract import aligned
from streamrnn.decisions import SpeechSettings
from streamrnn.layers import Chain, Dense, Dropout
from streamrnn.models import Classifier, ClassifierSettings, Model, VoiceActivity, VoiceActivitySettings
from streamrnn.pretrained import describe, load, locate, save, shipped, weights

ROOT = Path(__file__).parents[2]
SETTINGS = VoiceActivitySettings(hidden=8, channels=8, mels=8, lookahead_frames=2)
KERNEL = "network.layers.2.kernel"


@pytest.fixture(scope="module")
def model():
    model = VoiceActivity(SETTINGS, SpeechSettings(threshold=0.625, min_silence_ms=123), rngs=nnx.Rngs(0))
    model.eval()
    return model


@pytest.fixture
def path(model, tmp_path):
    """A saved model's .safetensors file, to be damaged."""
    save(model, tmp_path / "model", task="vad")
    return tmp_path / "model.safetensors"


@pytest.fixture
def shipped_models(monkeypatch, model, tmp_path):
    """A folder of shipped models in the place of the package's."""
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    for name in ("vad", "another"):
        save(model, tmp_path / "shipped" / name)


def change_description(path, **changes):
    """Overwrites entries of the .json; None removes one."""
    path = path.with_suffix(".json")
    description = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: entry for name, entry in description.items() if entry is not None}))


def change_arrays(path, changes):
    """Overwrites arrays; None removes one."""
    arrays = {**load_file(path), **changes}
    save_file({name: array for name, array in arrays.items() if array is not None}, path)


def assert_same_arrays(a, b):
    leaves, others = jax.tree.leaves(nnx.state(a)), jax.tree.leaves(nnx.state(b))
    for leaf, other in zip(leaves, others, strict=True):
        assert (leaf.shape, leaf.dtype) == (other.shape, other.dtype)
        assert np.asarray(leaf).tobytes() == np.asarray(other).tobytes()


def test_a_model_comes_back_as_it_was_saved(model, path):
    loaded = load(path)
    assert type(loaded) is VoiceActivity
    assert (loaded.settings, loaded.decision) == (model.settings, model.decision)
    assert (loaded.stride, loaded.lookahead) == (model.stride, model.lookahead)
    assert_same_arrays(loaded, model)


def test_a_loaded_model_computes_the_same_numbers(model, path):
    x = jax.random.normal(jax.random.key(0), (1, 10, 160)) / 10
    outputs = [jax.jit(lambda x, m=m: aligned(m, x))(x) for m in (load(path), model)]
    np.testing.assert_array_equal(*outputs)


def test_a_loaded_model_can_be_saved_again_as_the_same_files(path, tmp_path):
    save(load(path), tmp_path / "again" / "model", task="vad")
    for suffix in (".safetensors", ".json"):
        assert (tmp_path / "again" / "model").with_suffix(suffix).read_bytes() == path.with_suffix(suffix).read_bytes()


def test_a_loaded_model_knows_its_task_in_other_processes_too(model, path, tmp_path):
    assert model.task == "" and load(path).task == "vad"
    assert pickle.loads(pickle.dumps(load(path))).task == "vad"
    save(model, tmp_path / "of_no_task")
    assert load(tmp_path / "of_no_task").task == ""


def test_scalars_keep_their_shape(tmp_path, model):
    scaled = nnx.clone(model)
    scaled.network.layers[2].bias = nnx.Param(jax.numpy.float32(3))
    save(scaled, tmp_path / "model")
    assert load_file(tmp_path / "model.safetensors")["network.layers.2.bias"].shape == ()


def test_the_description_holds_the_settings_and_what_was_added(path):
    description = describe(path)
    assert (description["format"], description["model"]) == (weights.FORMAT, "VoiceActivity")
    assert description["task"] == "vad"
    assert description["settings"]["lookahead_frames"] == 2
    assert description["decision"]["min_silence_ms"] == 123


def test_a_description_that_is_no_json_leaves_no_half_written_model(model, tmp_path):
    with pytest.raises(TypeError, match="cannot be stored as JSON"):
        save(model, tmp_path / "model", figures=object())
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_could_not_be_loaded_is_not_saved(tmp_path):
    settings = ClassifierSettings(labels=("a", "b"), ids=2**20 + 1, embedding=1, hidden=1)
    model = Classifier(settings, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"cannot be saved, because .* ids is 1048577"):
        save(model, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model", "model.safetensors", "model.json"])
def test_a_path_may_name_either_file_or_none(path, name):
    assert locate(path.parent / name) == path
    assert_same_arrays(load(str(path.parent / name)), load(path))


def test_a_shipped_model_is_loaded_by_name(shipped_models, model):
    assert shipped() == ["another", "vad"]
    assert_same_arrays(load("vad"), model)


def test_a_tasks_name_is_that_of_its_model_where_a_file_has_the_same_name_too(tmp_path, monkeypatch, model):
    save(model, tmp_path / "keywords")
    monkeypatch.chdir(tmp_path)
    assert locate("keywords").stem == "keywords-en"
    assert locate("./keywords") == Path("keywords.safetensors")
    assert locate("keywords.safetensors") == Path("keywords.safetensors")


def test_an_unknown_name_is_answered_with_the_shipped_ones(shipped_models):
    with pytest.raises(
        FileNotFoundError, match=r"no model 'vda'\. Did you mean 'vad'\? Shipped are: another, vad\. Pass one of these"
    ):
        load("vda")


def test_loading_a_model_designs_no_filterbank(path):
    code = f"import sys, streamrnn; streamrnn.load({str(path)!r}); print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert {"librosa", "numba"}.isdisjoint(run.stdout.split())


def test_a_missing_description_is_asked_for(path):
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.json is missing.*Copy both"):
        load(path)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe\x00", b'"vad"', b"{}", b'{"format": 1}'],
)
def test_a_broken_description_is_refused(path, text):
    path.with_suffix(".json").write_bytes(text)
    with pytest.raises(ValueError, match=r"model\.json is no description of a model .*Save the model again"):
        load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": None},
        {"settings": 5},
        {"decision": None},
        {"decision": "loose"},
        {"model": None},
        {"format": "new"},
    ],
)
def test_an_incomplete_description_is_refused(path, changes):
    change_description(path, **changes)
    with pytest.raises(ValueError, match=r"model\.json is no description of a model .*Save the model again"):
        load(path)


def test_a_newer_format_asks_for_an_upgrade(path):
    change_description(path, format=weights.FORMAT + 1)
    with pytest.raises(ValueError, match=rf"format {weights.FORMAT + 1}; this version reads up to .*Upgrade streamrnn"):
        load(path)


@pytest.mark.parametrize("name", ["Telepathy", "VoiceActivitySettings", "__doc__", "3"])
def test_an_unknown_kind_of_model_asks_for_its_class_or_an_upgrade(path, name):
    change_description(path, model=name)
    with pytest.raises(ValueError, match=f"names the model '{name}', which is none of streamrnn.models"):
        load(path)


@pytest.mark.parametrize("part", ["settings", "decision"])
def test_a_setting_that_this_version_does_not_have_is_named(path, part):
    change_description(path, **{part: {"flavour": "vanilla"}})
    with pytest.raises(ValueError, match=r"does not fit this version's VoiceActivity.*'flavour'.*Upgrade streamrnn"):
        load(path)


def test_a_setting_out_of_range_is_named(path):
    change_description(path, decision={"threshold": 7})
    with pytest.raises(ValueError, match="threshold=7"):
        load(path)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_of_weights_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors is corrupt or no safetensors file .*save it again"):
        load(path)


def test_a_file_that_is_no_safetensors_file_is_refused(path):
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n" * 20)
    with pytest.raises(ValueError, match="corrupt or no safetensors file"):
        load(path)


def test_a_missing_array_is_named(path):
    change_arrays(path, {KERNEL: None})
    with pytest.raises(ValueError, match=rf"does not fit its \.json: {KERNEL} is in one but not .*Save the model"):
        load(path)


def test_an_array_too_many_is_named(path):
    change_arrays(path, {"network.layers.7.kernel": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"network\.layers\.7\.kernel is in one but not in the other"):
        load(path)


@pytest.mark.parametrize(
    ("array", "found"),
    [(np.zeros((9, 1), np.float32), r"float32\[9, 1\]"), (np.zeros((8, 1), np.float16), r"float16\[8, 1\]")],
    ids=["shape", "type"],
)
def test_an_array_of_another_shape_or_type_is_named_with_what_is_needed(path, array, found):
    change_arrays(path, {KERNEL: array})
    with pytest.raises(ValueError, match=rf"{KERNEL} is {found}; its \.json asks for float32\[8, 1\]\. Save the model"):
        load(path)


def test_weights_that_are_no_numbers_are_neither_loaded_nor_saved(path):
    model = load(path)
    kernel = np.zeros((8, 1), np.float32)
    kernel[3] = np.nan
    change_arrays(path, {KERNEL: kernel})
    with pytest.raises(ValueError, match=rf"model\.safetensors: {KERNEL} holds NaN in place of numbers"):
        load(path)
    before = path.read_bytes()
    model.network.layers[-1].kernel[...] = kernel
    with pytest.raises(ValueError, match=rf"cannot be saved: {KERNEL} holds NaN"):
        save(model, path)
    assert path.read_bytes() == before


def test_settings_that_do_not_fit_the_weights_are_refused(path):
    change_description(path, settings={**describe(path)["settings"], "hidden": 12})
    with pytest.raises(ValueError, match=r"is float32\[24\]; its \.json asks for float32\[36\]\. Save the model again"):
        load(path)


@dataclass(frozen=True)
class NamedSettings:
    sample_rate: int = 16_000
    hop_samples: int = 160
    labels: tuple[str, ...] = ("yes", "no")


class Forgetful(Model):
    """A model of a user, with dropout."""

    Settings, Decision = NamedSettings, SpeechSettings

    def __init__(self, settings, decision, *, rngs):
        head = Dense(160, len(settings.labels), rngs=rngs)
        super().__init__(settings, decision, Chain(Chain(), Dropout(0.5, rngs=rngs), head), len(settings.labels))


@pytest.fixture
def forgetful():
    return Forgetful(NamedSettings(), SpeechSettings(), rngs=nnx.Rngs(0))


def test_a_model_of_a_user_comes_back_with_its_class_dropout_and_tuples(forgetful, tmp_path):
    save(forgetful, tmp_path / "mine")
    loaded = load(tmp_path / "mine", Forgetful)
    assert loaded.settings == forgetful.settings
    assert loaded.network.layers[1].deterministic
    x = jnp.ones((1, 3, 160))
    forgetful.eval()
    np.testing.assert_array_equal(aligned(loaded, x), aligned(forgetful, x))
    loaded.train()
    assert np.isfinite(aligned(loaded, x)).all()


def test_a_model_of_a_user_is_asked_for_by_its_class(forgetful, tmp_path):
    save(forgetful, tmp_path / "mine")
    with pytest.raises(ValueError, match="load\\(path, model_class=Forgetful\\)"):
        load(tmp_path / "mine")


def test_a_dot_in_a_name_is_no_suffix(model, tmp_path):
    save(model, tmp_path / "v1.2")
    save(model, tmp_path / "v1.3")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["v1.2.json", "v1.2.safetensors", "v1.3.json", "v1.3.safetensors"]
    assert_same_arrays(load(tmp_path / "v1.2"), model)


def test_a_file_that_is_not_there_is_told_with_the_one_that_was_meant(tmp_path):
    for name in ("speech", "other"):
        (tmp_path / f"{name}.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"no file .*speach\.safetensors\. Did you mean 'speech'\?"):
        load(tmp_path / "speach.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no file .*nofile\.safetensors\. Pass a shipped model's name"):
        load(tmp_path / "nofile.safetensors")
