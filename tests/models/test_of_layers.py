"""Models of any layer: without a class of their own they stream, train, save, load and go out."""

import copy
import json
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import streamrnn
from streamrnn.cells import GRU
from streamrnn.contract import aligned
from streamrnn.decisions import KeywordSettings, SpeechSettings
from streamrnn.export.onnx import export_onnx
from streamrnn.features import log_mel
from streamrnn.layers import Chain, Dense, Lookahead, Recurrent
from streamrnn.learning import TrainingSettings, fit
from streamrnn.models import LayerModel, Model
from streamrnn.signals import Series


@streamrnn.builder
def meter(hidden: int = 4, mels: int = 8, *, rngs: nnx.Rngs) -> Chain:
    core = Recurrent(GRU(mels, hidden, rngs=rngs))
    return Chain(*log_mel(8000, 200, 80, mels, amin=1e-8), Lookahead(2), core, Dense(hidden, 1, rngs=rngs))


def model(hidden=4, **changed):
    facts = {"sample_rate": 8000, "hop_samples": 80, "readout": "sigmoid", "decision": SpeechSettings(threshold=0.7)}
    return Model.of(meter(hidden, rngs=nnx.Rngs(0)), **facts | changed)


@pytest.fixture
def sound():
    return np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)


def outputs(model, sound):
    stream = streamrnn.Stream(model)
    return np.concatenate([stream.process(sound), stream.flush()])


def test_it_streams_what_its_layer_gives_and_decides(sound):
    made = model()
    expected = jax.nn.sigmoid(aligned(made.network, jnp.asarray(sound).reshape(1, -1, 80)))[0]
    np.testing.assert_allclose(outputs(made, sound), expected, rtol=0, atol=1e-5)
    assert (made.out_features, made.lookahead, made.outlet().settings.threshold) == (1, 2, 0.7)
    streamrnn.Listener(made, threshold=0.5).feed(sound)


def test_what_was_saved_is_loaded_by_the_functions_that_a_program_has_marked(sound, tmp_path):
    made = model(hidden=6)
    streamrnn.save(made, tmp_path / "meter")
    loaded = streamrnn.load(tmp_path / "meter")
    np.testing.assert_array_equal(outputs(loaded, sound), outputs(made, sound))
    assert (loaded.settings, loaded.decision) == (made.settings, made.decision)
    streamrnn.Stream(loaded).restore(streamrnn.Stream(made).snapshot())
    streamrnn.save(loaded, tmp_path / "again")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "meter.json").read_text()


def test_no_function_is_called_because_a_file_names_it(tmp_path):
    streamrnn.save(model(), tmp_path / "meter")
    description = json.loads((tmp_path / "meter.json").read_text())
    ran = tmp_path / "ran"
    calls = {"os:system": {"command": f"touch {ran}"}, "pathlib:Path.touch": {}, "nowhere:at_all": {}}
    for name, arguments in calls.items():
        description["settings"] |= {"builder": name, "arguments": json.dumps(arguments)}
        (tmp_path / "meter.json").write_text(json.dumps(description))
        with pytest.raises(ValueError, match=r"Import it first, if you trust it, .* load\(path, build"):
            streamrnn.load(tmp_path / "meter")
    assert not ran.exists()


def test_a_function_that_was_moved_is_passed(sound, tmp_path):
    made = model()
    streamrnn.save(made, tmp_path / "meter")
    path = tmp_path / "meter.json"
    path.write_text(path.read_text().replace(meter.__module__, "moved.away"))
    loaded = streamrnn.load(tmp_path / "meter", build=meter)
    np.testing.assert_array_equal(outputs(loaded, sound), outputs(made, sound))


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("arguments", '{"hidden": 5}', "its .json asks for"),
        ("arguments", '{"depth": 5}', "unexpected keyword argument 'depth'"),
        ("arguments", "[1]", "not a JSON object"),
        ("arguments", "{", "does not fit"),
        ("signal", '{"kind": "smell"}', "does not describe a signal"),
        ("readout", "eval", "readout is 'eval'"),
        ("decision_kind", "Event", "decision_kind is 'Event'"),
    ],
)
def test_a_description_that_builds_nothing_is_refused(entry, value, message, tmp_path):
    streamrnn.save(model(), tmp_path / "meter")
    description = json.loads((tmp_path / "meter.json").read_text())
    description["settings"][entry] = value
    (tmp_path / "meter.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=message):
        streamrnn.load(tmp_path / "meter")


def test_layers_put_together_by_hand_do_all_but_be_saved(sound, tmp_path):
    rngs = nnx.Rngs(0)
    layer = Chain(*log_mel(8000, 200, 80, 8), Dense(8, 2, rngs=rngs))
    made = Model.of(layer, sample_rate=8000, hop_samples=80, labels=("low", "high"))
    assert outputs(made, sound).shape == (50, 2) and made.labels == ("low", "high")
    with pytest.raises(ValueError, match=r"decorated with @streamrnn\.builder"):
        streamrnn.save(made, tmp_path / "by_hand")
    assert list(tmp_path.iterdir()) == []


def test_it_is_trained_by_fit_and_exported(tmp_path):
    made = Model.of(meter(rngs=nnx.Rngs(0)), sample_rate=8000, hop_samples=80)
    draw = np.random.default_rng(0)
    loud = np.repeat(draw.random((64, 1, 1)) > 0.5, 20, axis=1)
    sound = (draw.normal(size=(64, 20, 80)) * np.where(loud, 0.3, 0.001)).astype(np.float32)
    batch = {"sound": sound, "loud": loud.astype(np.float32)}

    def loss(model, batch):
        logits = aligned(model, batch["sound"])
        return jnp.mean(jnp.logaddexp(0, jnp.where(batch["loud"] > 0, -logits, logits)))

    def right(model):
        return float(np.mean((aligned(model, jnp.asarray(sound)) > 0) == loud))

    settings = TrainingSettings(steps=60, learning_rate=0.05, validate_every=30)
    best = fit(made, loss, lambda start, stop: iter([batch] * (stop - start)), right, settings, tmp_path / "run", {})
    assert best > 0.95
    export_onnx(made, tmp_path / "meter.onnx")
    heard = sound[0].ravel()
    np.testing.assert_allclose(outputs(streamrnn.load(tmp_path / "meter.onnx"), heard), outputs(made, heard), atol=1e-4)


def test_a_series_will_do(tmp_path):
    made = Model.of(Chain(Dense(3, 2, rngs=nnx.Rngs(0))), signal=Series(3, 50.0), readout="softmax")
    np.testing.assert_allclose(outputs(made, np.ones((5, 3), np.float32)).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"hop_samples": None}, TypeError, "either sample_rate and hop_samples, for sound, or another signal"),
        ({"signal": Series(3, 50.0)}, TypeError, "either sample_rate and hop_samples"),
        ({"readout": "tanh"}, ValueError, "readout is 'tanh'; it must be one of none, sigmoid, softmax"),
        ({"hop_samples": 70}, ValueError, "must be as wide as a frame"),
    ],
)
def test_what_makes_no_model_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        model(**wrong)


def test_arguments_that_no_file_can_hold_are_refused():
    with pytest.raises(TypeError, match="cannot be stored"):
        meter(hidden=nnx.Rngs(0), rngs=nnx.Rngs(0))


@streamrnn.builder
def stack(widths: tuple[int, ...] = (8,), name: str = "mel", *, rngs: nnx.Rngs) -> Chain:
    assert isinstance(widths, list), "what a file can hold"
    return Chain(*log_mel(8000, 200, 80, widths[0]), Dense(widths[0], 1, rngs=rngs))


def test_a_file_has_all_arguments_those_by_default_too_and_builders_get_them_as_it_has_them():
    assert json.loads(stack((6,), rngs=nnx.Rngs(0)).built.arguments) == {"widths": [6], "name": "mel"}


def test_what_builds_no_layer_from_arguments_by_name_is_refused():
    for function in (lambda width: None, lambda *widths, rngs: None, lambda width, /, rngs: None):
        with pytest.raises(TypeError, match="needs a parameter rngs"):
            streamrnn.builder(function)
    with pytest.raises(TypeError, match=r"returned a NoneType; a builder returns a streamrnn\.Layer"):
        streamrnn.builder(lambda rngs: None)(rngs=nnx.Rngs(0))


def test_it_is_pickled_copied_and_loaded_by_a_moved_function_and_pickled_again(sound, tmp_path):
    made = model()
    streamrnn.save(made, tmp_path / "meter")
    loaded = streamrnn.load(tmp_path / "meter", build=meter)
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), pickle.loads(pickle.dumps(loaded))):
        np.testing.assert_array_equal(outputs(other, sound), outputs(made, sound))


def test_labels_are_the_decision_s():
    rngs = nnx.Rngs(0)
    layer = Chain(*log_mel(8000, 200, 80, 8), Dense(8, 3, rngs=rngs))
    labels = ("silence", "unknown", "yes")
    facts = {"sample_rate": 8000, "hop_samples": 80, "readout": "softmax"}
    made = Model.of(layer, labels=labels, decision=KeywordSettings(), **facts)
    assert made.outlet().labels == ("yes",) and isinstance(made, LayerModel)


def test_a_model_of_a_program_that_was_run_by_itself_says_how_to_load_it(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import streamrnn\nfrom flax import nnx\nfrom streamrnn.layers import Chain, Dense\n\n"
        "@streamrnn.builder\ndef mine(*, rngs):\n    return Chain(Dense(160, 4, rngs=rngs))\n\n"
        "model = streamrnn.Model.of(mine(rngs=nnx.Rngs(0)), sample_rate=16_000, hop_samples=160)\n"
        f"streamrnn.save(model, {str(tmp_path / 'mine.safetensors')!r})\n"
    )
    subprocess.run([sys.executable, program], check=True)
    with pytest.raises(ValueError, match=r"'mine' of the script that saved it.* load\(path, build=mine\)") as failed:
        streamrnn.load(tmp_path / "mine.safetensors")
    assert "Upgrade" not in str(failed.value)


class Odd(streamrnn.Layer):
    """A layer that breaks the contract, or does not, by what its state and its output are."""

    def __init__(self, state=lambda batch: jnp.zeros((batch, 1)), after=lambda state: state, out=lambda x: x):
        self.state, self.after, self.out = state, after, out

    def init_state(self, batch_size):
        return self.state(batch_size)

    def step(self, state, x):
        return self.after(state), self.out(x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Odd(out=lambda x: x[:, 0]), r"step gives \[2, 3\] for 2 streams; it needs one frame"),
        (Odd(out=lambda x: jnp.repeat(x, 2, axis=1)), r"step gives \[2, 2, 3\] for 2 streams"),
        (Odd(after=lambda state: state.astype(jnp.float16)), r"float32\[2, 1\].* at first and .*float16\[2, 1\]"),
        (Odd(state=lambda batch: jnp.zeros((1, batch))), "the stream as axis 0"),
    ],
)
def test_a_layer_that_cannot_be_stepped_is_refused_at_once(layer, message):
    Model.of(Odd(), signal=Series(3, 10.0))
    with pytest.raises(ValueError, match=message):
        Model.of(layer, signal=Series(3, 10.0))


def test_a_state_of_bfloat16_goes_on_from_bytes():
    layer = Odd(
        state=lambda batch: jnp.zeros((batch, 1), jnp.bfloat16),
        after=lambda state: state + 1,
    )
    first, second = (streamrnn.Stream(Model.of(layer, signal=Series(3, 10.0))) for _ in range(2))
    first.process(np.zeros((5, 3), np.float32))
    second.restore(streamrnn.Snapshot.from_bytes(first.snapshot().to_bytes()))
    assert second.snapshot().state == first.snapshot().state
    assert {leaf.dtype.name for leaf in second.snapshot().state.values()} == {"bfloat16"}


def test_a_class_is_no_decision():
    for wrong in (SpeechSettings, "speech"):
        with pytest.raises(TypeError, match="as its decision"):
            model(decision=wrong)


def test_settings_of_the_numbers_of_numpy_are_saved(tmp_path):
    streamrnn.save(model(decision=SpeechSettings(threshold=np.float32(0.5))), tmp_path / "meter")
    assert streamrnn.load(tmp_path / "meter").decision == SpeechSettings(threshold=0.5)
