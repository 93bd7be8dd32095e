"""What networks remember: how gradients fade with the lag, and what can be learned over which length."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from benchmarks.memory_tasks import ADDING, COPYING, ROWS, Task
from streamrnn.bench.machine import describe_machine
from streamrnn.bench.tables import rounded
from streamrnn.contract import aligned
from streamrnn.layers import Chain, Dense
from streamrnn.learning import TrainingSettings
from streamrnn.learning.learner import Learner
from streamrnn.models import matched
from streamrnn.models.cores import CoreSettings, core_layers
from streamrnn.runtime import configure

RECURRENT = ("elman", "gru", "lstm")
LEARNERS = (*RECURRENT, "transformer")

# As large as the published networks of one layer: about 50,000 parameters.
SHAPE = CoreSettings(core="gru", hidden=64, layers=2)
WIDTH, INPUTS, DRAWS = 128, 16, 8
TRAINING = TrainingSettings(learning_rate=2e-3, schedule="constant", warmup_steps=100, weight_decay=0.0)
TEST_ROWS, TEST_EVERY, LEARNED = 256, 50, 0.99


@dataclass(frozen=True)
class MemoryEffort:
    """How much is measured."""

    lags_frames: int = 200
    """The longest lag of gradients."""
    lengths: tuple[int, ...] = (20, 50, 100, 200, 400)
    """Lengths that the tasks are learned at."""
    updates: int = 10_000
    """The most that a network gets. They are counted, not timed, so that another machine learns as much."""
    seeds: int = 5
    """Trainings of each, which differ in their first weights and in what they are shown."""


QUICK = MemoryEffort(lengths=(10, 30), updates=600, seeds=3)
FULL = MemoryEffort()


def compare_memory(effort: MemoryEffort = QUICK, watch: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Measures gradients against lag at initialisation, and what is learned against length. Ready for JSON.

    The adding problem (Hochreiter & Schmidhuber 1997, in the form of Arjovsky et al. 2016): the sum of two marked
    numbers among many. The copying task (both papers, in the form of Arjovsky et al. 2016): ten symbols, to be repeated
    after a wait. All networks have two layers and as many parameters, within 5 %; all learn with the same settings, in
    batches of 32 that are drawn anew each time, until 99 % are right on others, or updates run out. A transformer sees
    all of the sequence. It calls streamrnn.configure(): call it before JAX is used.

    Args:
        effort: how much is measured: QUICK, FULL, or another.
        watch: called with a line before each training.

    Returns:
        machine;
        gradients: {core: {median, p10, p90}}, a number per lag from 0 on each: see gradient_norms;
        tasks: one row per task, length and core: task, length, core, parameters, chance, and per seed accuracies (share
            that is right, at the end) and updates; accuracy is their mean.
    """
    configure()
    rows = []
    for task in (ADDING, COPYING):
        for length in effort.lengths:
            for core in LEARNERS:
                watch(f"{task.name}, {length} frames, {core}")
                rows.append(learned(task, length, core, effort))
    gradients = {core: gradient_norms(core, effort.lags_frames) for core in RECURRENT}
    return {"machine": describe_machine(), "gradients": gradients, "tasks": rows}


def gradient_norms(core: str, lags_frames: int) -> dict[str, list[float]]:
    """How much the last output of one layer of WIDTH depends on the input some frames before, at initialisation.

    The norm of the gradient, by the input at lag 0, 1, ..., `lags_frames`, of the output in a random direction, over
    that at lag 0. Inputs are noise of variance 1. Median, p10 and p90 over draws of weights, inputs and direction.
    """
    layers = [_layer(core, draw) for draw in range(DRAWS)]
    graph = nnx.graphdef(layers[0])
    norms = jax.jit(lambda weights, key: _norms(nnx.merge(graph, weights), lags_frames, key))
    drawn = [norms(nnx.state(layer), jax.random.key(draw)) for draw, layer in enumerate(layers)]
    low, middle, high = np.percentile(np.concatenate(drawn), [10, 50, 90], axis=0)
    figures = {"median": middle, "p10": low, "p90": high}
    return {name: [rounded(value, 4) for value in values] for name, values in figures.items()}


def learned(task: Task, length: int, core: str, effort: MemoryEffort) -> dict[str, Any]:
    """One network's trainings at one length: its row in the answer of compare_memory."""
    settings = matched(_network(task), replace(SHAPE, context_frames=task.frames(length)), core)
    models = [_network(task)(settings, rngs=nnx.Rngs(seed)) for seed in range(effort.seeds)]
    trained = [_train(model, task, length, effort.updates, seed) for seed, model in enumerate(models)]
    accuracies = [accuracy for accuracy, _ in trained]
    return {
        "task": task.name,
        "length": length,
        "core": core,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(nnx.state(models[0], nnx.Param))),
        "accuracy": rounded(float(np.mean(accuracies)), 4),
        "accuracies": [rounded(accuracy, 4) for accuracy in accuracies],
        "chance": rounded(task.chance, 4),
        "updates": [updates for _, updates in trained],
    }


def _layer(core: str, seed: int) -> Chain:
    return Chain(*core_layers(CoreSettings(core=core, hidden=WIDTH, layers=1), INPUTS, nnx.Rngs(seed)))


def _norms(layer: Chain, lags_frames: int, key: jax.Array) -> Float[jax.Array, "rows lags"]:
    of_inputs, of_directions = jax.random.split(key)
    x = jax.random.normal(of_inputs, (DRAWS, lags_frames + 1, INPUTS))
    directions = jax.random.normal(of_directions, (DRAWS, WIDTH))
    gradient = jax.grad(lambda x: jnp.vdot(directions, aligned(layer, x)[:, -1]))(x)
    norms = jnp.linalg.norm(gradient, axis=-1)[:, ::-1]
    return norms / norms[:, :1]


def _network(task: Task) -> Any:
    def build(settings: CoreSettings, *, rngs: nnx.Rngs) -> Chain:
        core = core_layers(settings, task.in_features, rngs)
        return Chain(*core, Dense(settings.hidden, task.out_features, rngs=rngs))

    return build


def _train(model: Chain, task: Task, length: int, most: int, seed: int) -> tuple[float, int]:
    """(share of right answers, updates that it took)."""
    shown = jax.random.fold_in(jax.random.key(1), seed)
    draw = jax.jit(lambda step: task.draw(jax.random.fold_in(shown, step), ROWS, length))
    learner = Learner(model, lambda model, batch: task.loss(aligned(model, batch[0]), batch[1]), TRAINING)
    state, right = learner.begin(draw(0)), _judge(learner, task, length)
    for step in range(most):
        state, _ = learner.update(state, draw(step), step)
        if (step + 1) % TEST_EVERY == 0 and (accuracy := right(state.weights)) >= LEARNED:
            return accuracy, step + 1
    return right(state.weights), most


def _judge(learner: Learner, task: Task, length: int) -> Callable[[Any], float]:
    """weights -> share of right answers on sequences that training never sees."""
    x, truth = task.draw(jax.random.key(2), TEST_ROWS, length)

    @jax.jit
    def right(weights: Any) -> jax.Array:
        model = nnx.merge(learner.graph, weights, learner.keys, learner.rest)
        model.eval()
        return task.right(aligned(model, x), truth)

    return lambda weights: float(right(weights))


__all__ = ["FULL", "LEARNERS", "QUICK", "RECURRENT", "MemoryEffort", "compare_memory", "gradient_norms", "learned"]
