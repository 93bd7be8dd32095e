"""However a recurrence runs, its outputs, its last state and its gradients are the same."""

import os
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import rnn

from streamrnn.cells import GRU, LSTM, RGLRU, Elman, MinGRU, MinLSTM
from streamrnn.layers import Chain, Delay, Recurrent, Residual, linear_scans, run_recurrences
from streamrnn.layers.backends import BACKENDS, choose
from streamrnn.layers.cudnn import cudnn_scan
from streamrnn.layers.fused_kernels import fused_refusal, fused_scan
from streamrnn.layers.gated_scans import gated_scan, has_weights_inside, plain_scan
from streamrnn.layers.linear_scans import associative_scan, linear_scan
from streamrnn.layers.row_kernels import TILE_ROWS

IN, HIDDEN, BATCH = 3, 16, 2
LINEAR, GATED = [MinGRU, MinLSTM, RGLRU], [Elman, GRU, LSTM]
ON_DEVICES = """
from functools import partial
import jax, jax.numpy as jnp, numpy as np
from flax import nnx
from streamrnn.cells import GRU, MinGRU
from streamrnn.layers.fused_kernels import fused_scan
from streamrnn.layers.gated_scans import gated_scan
from streamrnn.layers.linear_scans import associative_scan

mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "batch"))
assert mesh.size == 4
x = jax.random.normal(jax.random.key(0), (5, 64, 3))
for make, run in ((GRU, gated_scan), (MinGRU, associative_scan), (GRU, partial(fused_scan, interpret=True))):
    graph, weights = nnx.split(make(3, 16, rngs=nnx.Rngs(0)))

    def loss(weights, x):
        cell = nnx.merge(graph, weights)
        return (run(cell, cell.init_state(64), x)[1] ** 2).mean()

    learn = jax.jit(jax.value_and_grad(loss))
    here, spread = learn(weights, x), learn(weights, jax.device_put(x, rows))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7), here, spread)
    # Each device works on its own rows: only gradients of weights meet.
    assert "all-gather" not in learn.lower(weights, jax.device_put(x, rows)).compile().as_text()
    print(getattr(run, "func", run).__name__)
"""

interpreted = partial(fused_scan, interpret=True)


@pytest.fixture
def cudnn_by_its_reference(monkeypatch):
    """cuDNN's binding replaced by the reference that JAX has of it, which the order of the weights matters to."""

    def reference(x, h, c, weights, lengths, input_size, hidden_size, num_layers, dropout, bidirectional):
        parts = rnn.unpack_lstm_weights(weights, input_size, hidden_size, num_layers, bidirectional)
        sizes = (input_size, hidden_size, num_layers, dropout, bidirectional)
        return rnn.lstm_ref(x, h, c, *parts, lengths, *sizes)

    monkeypatch.setattr(rnn, "lstm", reference)


def random(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def start_of(cell, batch=BATCH):
    return jax.tree.map(lambda leaf: leaf + 0.3 * random(*leaf.shape), cell.init_state(batch))


def heard_and_gradients(run, cell, start, x):
    """(final state, outputs), and the gradients by weights, start and inputs of a scalar of them."""
    graph, weights = nnx.split(cell)

    @jax.jit
    def loss(weights, start, x):
        state, y = run(nnx.merge(graph, weights), start, x)
        return jnp.sin(3 * y).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(state)), (state, y)

    gradients, heard = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(weights, start, x)
    return heard, gradients


def assert_equal(found, expected, tolerance=1e-4):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale / 10 + 1e-7)


@pytest.mark.parametrize("make", LINEAR)
@pytest.mark.parametrize("run", [linear_scan, associative_scan])
def test_each_way_of_a_linear_cell_gives_the_same_numbers_and_gradients(make, run):
    cell, x = make(IN, HIDDEN, rngs=nnx.Rngs(0)), random(7, BATCH, IN)
    expected = heard_and_gradients(plain_scan, cell, start_of(cell), x)
    assert_equal(heard_and_gradients(run, cell, start_of(cell), x), expected)


@pytest.mark.parametrize("frames", [1, 8, 19])
def test_pieces_that_are_computed_in_parallel_join(frames, monkeypatch):
    monkeypatch.setattr(linear_scans, "PIECE_FRAMES", 8)
    cell, x = RGLRU(IN, HIDDEN, rngs=nnx.Rngs(0)), random(frames, BATCH, IN)
    expected = heard_and_gradients(plain_scan, cell, start_of(cell), x)
    assert_equal(heard_and_gradients(associative_scan, cell, start_of(cell), x), expected)


@pytest.mark.parametrize(
    ("make", "run", "rows"),
    [
        *((make, gated_scan, BATCH) for make in GATED),
        (Elman, interpreted, BATCH),
        (GRU, interpreted, BATCH),
        (LSTM, interpreted, TILE_ROWS + 1),
    ],
)
def test_each_way_of_a_gated_cell_gives_the_same_numbers_and_gradients(make, run, rows):
    cell, x = make(IN, HIDDEN, rngs=nnx.Rngs(0)), random(6, rows, IN)
    expected = heard_and_gradients(plain_scan, cell, start_of(cell, rows), x)
    assert_equal(heard_and_gradients(run, cell, start_of(cell, rows), x), expected)


@pytest.mark.parametrize(("make", "run"), [(GRU, gated_scan), (LSTM, interpreted)])
def test_ways_agree_in_bfloat16_as_far_as_its_eight_bits_go(make, run):
    cell, x = make(IN, HIDDEN, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)), random(6, BATCH, IN)
    expected = heard_and_gradients(plain_scan, cell, start_of(cell), x)
    found = heard_and_gradients(run, cell, start_of(cell), x)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=0.03 * float(jnp.abs(other).max()))


def test_an_lstm_with_a_projection_runs_as_its_step_does():
    layer = Recurrent(LSTM(IN, HIDDEN, projection=5, rngs=nnx.Rngs(0)))
    x, state = random(BATCH, 4, IN), start_of(layer.cell)
    last, y = layer.scan(state, x)
    for t in range(4):
        state, one = layer.step(state, x[:, t : t + 1])
        np.testing.assert_allclose(one[:, 0], y[:, t], rtol=1e-5, atol=1e-6)
    assert_equal(last, state)


class PeepholeLSTM(LSTM):
    """Gers et al. 2002: gates see the memory, by weights of their own, in `combine`."""

    def __init__(self, in_features, hidden, *, rngs):
        super().__init__(in_features, hidden, rngs=rngs)
        self.peepholes = nnx.Param(0.3 * jax.random.normal(rngs.params(), (3, hidden)))

    def combine(self, state, sums, /):
        i, f, g, o = sums
        to_i, to_f, to_o = self.peepholes[...]
        c = jax.nn.sigmoid(f + to_f * state[0]) * state[0] + jax.nn.sigmoid(i + to_i * state[0]) * jnp.tanh(g)
        return c, jax.nn.sigmoid(o + to_o * c) * jnp.tanh(c)


def test_a_cell_with_weights_inside_learns_them_by_scan_and_is_refused_by_the_kernels():
    cell, x = PeepholeLSTM(IN, HIDDEN, rngs=nnx.Rngs(0)), random(6, BATCH, IN)
    expected = heard_and_gradients(plain_scan, cell, start_of(cell), x)
    found = heard_and_gradients(BACKENDS["scan"].run, cell, start_of(cell), x)
    assert_equal(found, expected)
    assert jnp.abs(found[1][0]["peepholes"][...]).min() > 0
    assert "weights that PeepholeLSTM.combine uses" in str(fused_refusal(cell))


@pytest.mark.parametrize("make", GATED)
def test_other_gated_cells_have_no_weights_inside(make):
    assert not has_weights_inside(make(IN, HIDDEN, rngs=nnx.Rngs(0)))


def test_cudnn_is_given_the_weights_in_its_order(cudnn_by_its_reference):
    cell, x = LSTM(IN, HIDDEN, rngs=nnx.Rngs(0)), random(6, BATCH, IN)
    expected = heard_and_gradients(plain_scan, cell, start_of(cell), x)
    assert_equal(heard_and_gradients(cudnn_scan, cell, start_of(cell), x), expected)


@pytest.mark.parametrize(
    ("make", "backend", "remat_frames"),
    [(GRU, "scan", 1), (LSTM, "scan", 4), (MinGRU, "associative", 99), (GRU, "scan", 10**30)],
)
def test_what_is_computed_anew_is_the_same(make, backend, remat_frames):
    cell, x = make(IN, HIDDEN, rngs=nnx.Rngs(0)), random(BATCH, 10, IN)

    def run(remat):
        return lambda cell, state, x: Recurrent(cell, backend, remat).scan(state, x)

    expected = heard_and_gradients(run(None), cell, start_of(cell), x)
    assert_equal(heard_and_gradients(run(remat_frames), cell, start_of(cell), x), expected)


def test_computing_anew_keeps_less():
    cell, x = GRU(HIDDEN, HIDDEN, rngs=nnx.Rngs(0)), random(BATCH, 400, HIDDEN)

    def kept(remat):
        layer = Recurrent(cell, remat_frames=remat)
        graph, weights = nnx.split(layer)

        def loss(weights, x):
            layer = nnx.merge(graph, weights)
            return layer.scan(layer.init_state(BATCH), x)[1].sum()

        memory: Any = jax.jit(jax.grad(loss)).lower(weights, x).compile().memory_analysis()
        return memory.temp_size_in_bytes

    assert kept(20) < kept(None) / 2


@pytest.mark.parametrize("make", [*LINEAR, *GATED])
def test_no_frames_leave_the_state_as_it_is(make):
    cell = make(IN, HIDDEN, rngs=nnx.Rngs(0))
    start = start_of(cell)
    for backend in BACKENDS.values():
        if backend.serves(cell, "cpu"):
            state, y = backend.run(cell, start, jnp.zeros((0, BATCH, IN)))
            assert y.shape == (0, BATCH, HIDDEN)
            jax.tree.map(np.testing.assert_array_equal, state, start)


@pytest.mark.parametrize(
    ("make", "run"), [(MinGRU, linear_scan), (MinLSTM, associative_scan), (GRU, gated_scan), (LSTM, interpreted)]
)
def test_a_row_with_nan_harms_no_other(make, run):
    cell, x = make(IN, HIDDEN, rngs=nnx.Rngs(0)), random(9, BATCH, IN)
    (_, clean), _ = heard_and_gradients(run, cell, start_of(cell), x)
    (_, y), (_, d_start, d_x) = heard_and_gradients(run, cell, start_of(cell), x.at[4, 0].set(jnp.nan))
    np.testing.assert_array_equal(y[:, 1], clean[:, 1])
    assert not jnp.isfinite(y[4:, 0]).any() and jnp.isfinite(y[:4, 0]).all()
    assert all(jnp.isfinite(leaf[1]).all() for leaf in jax.tree.leaves(d_start)) and jnp.isfinite(d_x[:, 1]).all()


def test_rows_on_four_devices_give_what_one_device_gives():
    """In a process of its own: the number of devices is settled when JAX starts."""
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    run = subprocess.run([sys.executable, "-c", ON_DEVICES], env=os.environ | flags, capture_output=True, text=True)
    assert run.stdout.split() == ["gated_scan", "associative_scan", "fused_scan"], run.stderr


@pytest.mark.parametrize(
    ("make", "options", "backend", "told"),
    [
        (GRU, {}, "associative", "a GRU is not linear in its state. A GRU runs here with auto, scan."),
        (MinGRU, {}, "cudnn", "binding supports only an LSTM .* runs here with auto, scan, associative."),
        (LSTM, {"dtype": jnp.bfloat16}, "cudnn", "only float32, and the cell computes in bfloat16"),
        (LSTM, {"projection": 4}, "pallas", "without a projection"),
        (LSTM, {}, "cudnn", "it runs on gpu, but JAX on cpu. A LSTM runs here with auto, scan."),
        (LSTM, {}, "fast", "there is no such backend"),
    ],
)
def test_a_backend_that_cannot_serve_says_why_and_names_those_that_can(make, options, backend, told):
    with pytest.raises(ValueError, match=rf"Recurrent got backend='{backend}': .*{told}"):
        Recurrent(make(IN, HIDDEN, **options, rngs=nnx.Rngs(0)), backend)


@pytest.mark.parametrize(
    ("make", "hidden", "dtype", "told"),
    [
        (GRU, 128, "float32", None),
        (LSTM, 128, "bfloat16", None),
        (LSTM, 128, "float32", "256 KB in float32, but a chip's shared memory holds 208 KB"),
        (GRU, 100, "float32", "16, 32, 64, 128 numbers, but the cell's has 100"),
        (MinGRU, 128, "float32", "for Elman networks, GRUs and LSTMs"),
    ],
)
def test_the_kernels_say_what_does_not_fit_on_a_chip(make, hidden, dtype, told):
    refusal = fused_refusal(make(IN, hidden, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0)))
    assert refusal is None if told is None else told in refusal


def as_on_a_gpu():
    """From 0.11 on, JAX wants to know for which GPU it lowers a kernel."""
    if jax.__version_info__ < (0, 11):
        return nullcontext()
    gpu: Any = jax.sharding.AbstractDevice(device_kind="NVIDIA H100 80GB HBM3", num_cores=None, platform="cuda")
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=gpu))


@pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated:DeprecationWarning")
@pytest.mark.parametrize("make", GATED)
def test_the_kernels_are_lowered_for_cuda_forward_and_backward(make):
    graph, weights = nnx.split(make(IN, 64, rngs=nnx.Rngs(0)))

    def loss(weights, x):
        cell = nnx.merge(graph, weights)
        return fused_scan(cell, cell.init_state(x.shape[1]), x)[1].sum()

    with as_on_a_gpu():
        lowered = jax.jit(jax.grad(loss)).trace(weights, jnp.zeros((5, 40, IN))).lower(lowering_platforms=("cuda",))
    assert lowered.as_text().count("__gpu$xla.gpu.triton") == 2


@pytest.mark.parametrize(
    ("make", "platform", "chosen", "why"),
    [
        (MinGRU, "cpu", "scan", "a few CPU cores"),
        (MinGRU, "gpu", "associative", "linear in its state, and a gpu computes many"),
        (GRU, "tpu", "scan", "needs each frame's state"),
        (LSTM, "gpu", "scan", "can also use cudnn or pallas"),
    ],
)
def test_auto_says_why(make, platform, chosen, why):
    name, reason = choose(make(IN, HIDDEN, rngs=nnx.Rngs(0)), platform)
    assert name == chosen and why in reason


def test_a_layer_tells_its_backend():
    cell = MinGRU(IN, HIDDEN, rngs=nnx.Rngs(0))
    assert (Recurrent(cell).chosen_backend, Recurrent(cell).why) == choose(cell, "cpu")
    assert Recurrent(cell, "associative").chosen_backend == "associative"


def test_pieces_of_no_frames_are_refused():
    with pytest.raises(ValueError, match="remat_frames=0; pass 1 or more, or None"):
        Recurrent(GRU(IN, HIDDEN, rngs=nnx.Rngs(0)), remat_frames=0)


def test_all_recurrent_layers_of_a_model_are_told_how_to_run():
    model = Chain(Recurrent(GRU(IN, 4, rngs=nnx.Rngs(0))), Residual(Recurrent(MinGRU(4, 4, rngs=nnx.Rngs(0))), 4))
    run_recurrences(model, "scan", 7)
    assert [
        (layer.backend, layer.remat_frames) for _, layer in nnx.iter_graph(model) if isinstance(layer, Recurrent)
    ] == [("scan", 7)] * 2
    with pytest.raises(ValueError, match="a GRU is not linear"):
        run_recurrences(model, "associative")


def test_a_model_without_recurrence_has_no_use_for_a_backend():
    with pytest.raises(ValueError, match="no layer is recurrent"):
        run_recurrences(Chain(Delay(1, 3)), "scan")
