"""Programs: compiled once, never stale, gone with their model."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.decisions import SpeechSettings
from streamrnn.export import export_onnx, export_stablehlo, load_stablehlo
from streamrnn.layers import Apply, Chain, Dense, Dropout
from streamrnn.models import Model, VoiceActivitySettings
from streamrnn.runtime import OnnxModel, Pool, Stream, compiled_scan, compiled_step, run_file


class DroppingModel(Model):
    """A linear map of the samples; in training, nine numbers out of ten are dropped."""

    def __init__(self, settings, decision, *, rngs):
        dropout, head = Dropout(0.9, rngs=rngs), Dense(settings.hop_samples, 4, rngs=rngs)
        super().__init__(settings, decision, Chain(dropout, Apply(jax.nn.tanh), head), 4)


def test_the_first_stream_compiles_two_programs_and_before_the_first_block(new_model, bursts, compilations):
    model = new_model()
    with compilations() as compiled:
        stream = Stream(model)
    # What begins a stream, and a step.
    assert len(compiled) == 2
    with compilations() as compiled:
        stream.process(bursts(0.1))
    assert compiled == []


def test_warm_up_can_be_left_to_the_first_block(new_model, bursts, compilations):
    stream = Stream(new_model(), warm_up=False)
    with compilations() as compiled:
        stream.process(bursts(0.01))
    assert len(compiled) == 1


def test_a_stream_compiles_nothing_once_its_model_has_streamed(any_model, bursts, compilations, run):
    Stream(any_model)
    with compilations() as compiled:
        stream = Stream(any_model, 44_100)
        stream.process(bursts(0.2, 44_100))
        snapshot = stream.snapshot()
        stream.reset()
        stream.restore(snapshot)
        run(stream, [bursts(0.1, 44_100, channels=2)])
    assert compiled == []


def test_recordings_of_any_length_share_a_few_scans(model, bursts, compilations, recording):
    run_file(model, recording(bursts(0.1)))
    run_file(model, recording(bursts(3)))
    with compilations() as compiled:
        for samples in (0, 1, 16_000, 40_000, 48_000):
            run_file(model, recording(bursts(3)[:samples]))
    assert compiled == []


def test_new_streams_run_with_new_weights_and_compile_nothing(new_model, bursts, compilations, run):
    model, trained = new_model(seed=1), new_model(seed=2)
    before = run(Stream(model), [bursts(0.3)])
    old = Stream(model)
    with compilations() as compiled:
        nnx.update(model, nnx.state(trained))
        after = run(Stream(model), [bursts(0.3)])
    assert compiled == []
    np.testing.assert_array_equal(after, run(Stream(trained), [bursts(0.3)]))
    # A stream that was under way keeps to the weights it began with.
    np.testing.assert_array_equal(run(old, [bursts(0.3)]), before)
    assert np.abs(after - before).max() > 0.1


def test_recordings_run_with_new_weights(new_model, bursts, recording):
    model, trained, path = new_model(seed=1), new_model(seed=2), recording(bursts(0.3))
    run_file(model, path)
    nnx.update(model, nnx.state(trained))
    np.testing.assert_array_equal(run_file(model, path), run_file(trained, path))


@pytest.mark.parametrize("compiled", [compiled_step, compiled_scan])
def test_programs_go_with_their_model(new_model, compiled):
    model = new_model()
    program = compiled(model).program
    assert compiled(model).program is program
    remaining = weakref.ref(model), weakref.ref(program)
    del model, program
    gc.collect()
    assert [reference() for reference in remaining] == [None, None]


def test_a_program_that_ran_goes_with_its_model(new_model, bursts, run):
    model = new_model()
    run(Stream(model), [bursts(0.1)])
    program = weakref.ref(compiled_step(model).program)
    del model
    gc.collect()
    assert program() is None


def test_a_model_in_training_streams_as_in_evaluation_and_goes_on_training(bursts, run):
    model = DroppingModel(VoiceActivitySettings(), SpeechSettings(), rngs=nnx.Rngs(0))
    model.train()
    in_training = run(Stream(model), [bursts(0.2)])
    x = jnp.ones((1, 1, 160))
    assert np.abs(model.step(model.init_state(1), x)[1] - model.step(model.init_state(1), x)[1]).max() > 0
    model.eval()
    np.testing.assert_array_equal(in_training, run(Stream(model), [bursts(0.2)]))


def test_several_streams_run_side_by_side_in_one_step(model, bursts):
    sounds = np.stack([bursts(0.01), bursts(0.01)[::-1]])[:, None] / np.float32(32768)
    step = compiled_step(model, batch_size=2)
    _, together = step(step.fresh_state, sounds)
    single = compiled_step(model)
    for sound, output in zip(sounds, together, strict=True):
        _, alone = single(single.fresh_state, sound[None])
        np.testing.assert_allclose(output, alone[0], atol=1e-5)


def test_a_model_whose_layers_were_exchanged_is_another_program(new_model, bursts, run):
    model = new_model()
    before = run(Stream(model), [bursts(0.3)])
    # The exchange keeps the number and the shapes of all weights.
    model.network.layers[1].layers[1] = Apply(jnp.tanh)
    after = run(Stream(model), [bursts(0.3)])
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(after, run(Stream(nnx.clone(model)), [bursts(0.3)]))


def test_streams_of_a_model_that_did_not_change_share_what_was_made(model):
    assert compiled_step(model) is compiled_step(model)
    assert compiled_step(model) is not compiled_step(model, 2)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.int32])
def test_outputs_are_float32_wherever_a_model_runs(bursts, dtype, tmp_path):
    layer = Apply(lambda x: (3 * x[..., :2]).astype(dtype))
    model = Model.of(layer, sample_rate=16_000, hop_samples=160)
    export_onnx(model, tmp_path / "a.onnx")
    export_stablehlo(model, tmp_path / "a.hlo")
    pool, sound = Pool(model, capacity=1, warm_up=False), bursts(0.1)
    pool.open().feed(sound)
    found = [
        Stream(model).process(sound),
        run_file(model, sound, 16_000),
        pool.tick()[0].outputs,
        Stream(OnnxModel(tmp_path / "a.onnx")).process(sound),
    ]
    assert {outputs.dtype.name for outputs in found} == {"float32"}
    for outputs in found[1:]:
        # In ONNX files what JAX rounds to bfloat16 is float32.
        np.testing.assert_allclose(outputs, found[0], rtol=2**-7 if dtype == jnp.bfloat16 else 0)
    assert load_stablehlo(tmp_path / "a.hlo")[0].out_avals[0].dtype == jnp.float32
