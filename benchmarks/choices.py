"""Models of choices beside the reinforcement learning of psychology, which is fitted to whole people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from streamrnn.bench.machine import describe_machine
from streamrnn.bench.tables import figures_table, machine_line
from streamrnn.data.choices import read_people
from streamrnn.evaluation.choices import evaluate_choices, figures
from streamrnn.models import Model
from streamrnn.pretrained import load
from streamrnn.recipes.padding import padded
from streamrnn.runtime import configure

# Learning rate and forgetting as logits; inverse temperature and stickiness by the softmax; value of what is unknown.
PARAMETERS = 5
START = (0.0, -2.0, 5.0, 1.0, 0.5)
UPDATES, ROUNDS, LEARNING_RATE = 150, 3, 0.1
# Below this spread no prior can draw a person's parameters together any further.
SMALLEST_SPREAD = 0.05


def compare_choices(data: Sequence[Path], model: Model | None = None) -> dict[str, Any]:
    """Measures how often a model, and Q-learning with forgetting and stickiness, guess unseen people's choices.

    The model guesses live. Q-learning is given more: once the parameters that fit all people of the training part best,
    once parameters of each unseen person's own, fitted to the very choices that are judged, with a prior of normal
    distributions that the training part gives (empirical Bayes by three rounds of maxima of the posterior).

    Source: Ito and Doya 2009, "Validation of decision-making models and analysis of decision variables in the rat
    basal ganglia" (forgetting Q-learning).

    Args:
        data: see streamrnn.data.choices.read_people.
        model: a Choices; None: the shipped one.

    Returns:
        machine; rows: name and the figures of evaluate_choices.
    """
    configure()
    parts = read_people(data).parts
    people, trained = parts["test"], parts["train"]
    options = int(max(person[:, 0].max() for person in trained))
    same = fitted(trained, options, shared=True)[0]
    prior = hierarchy(trained, options, same)
    of_all = np.broadcast_to(same, (len(people), PARAMETERS))
    own = fitted(people, options, start=prior[0], prior=prior)
    rows = [
        {"name": "the network, live", **evaluate_choices(model or load("choices"), data)["streaming"]},
        {"name": "Q-learning, one fit", **figures(guesses(of_all, people, options), people)},
        {"name": "Q-learning, own fits", **figures(guesses(own, people, options), people)},
    ]
    return {"machine": describe_machine(), "people": len(people), "rows": rows}


def q_learning(parameters: jax.Array, choices: jax.Array, options: int) -> jax.Array:
    """Logits of what comes after each choice: parameters[PARAMETERS], choices[time, 2] -> [time, options].

    Q(chosen) moves to the reward, from 0 to 1, by the learning rate; others to what is unknown, by forgetting.
    """
    alpha, forgetting = jax.nn.sigmoid(parameters[0]), jax.nn.sigmoid(parameters[1])
    _, _, beta, stickiness, unknown = parameters

    def step(q: jax.Array, choice: jax.Array) -> tuple[jax.Array, jax.Array]:
        chosen = jax.nn.one_hot(jnp.round(choice[0]).astype(jnp.int32) - 1, options)
        q = q + chosen * alpha * (choice[1] / 100 - q) + (1 - chosen) * forgetting * (unknown - q)
        return q, beta * q + stickiness * chosen

    return jax.lax.scan(step, jnp.full(options, unknown), choices)[1]


def fitted(
    people: Sequence[np.ndarray], options: int, *, shared: bool = False, start: Any = START, prior: Any = None
) -> np.ndarray:
    """The parameters that make the choices likeliest, float[people, PARAMETERS]; shared: equal for all.

    Args:
        prior: mean and standard deviation of normal distributions of the parameters.
    """
    choices = jnp.asarray(padded(people, max(map(len, people)))[0])
    # Where no choice was made, no option is 1.
    comes = jax.nn.one_hot(jnp.round(choices[:, 1:, 0]).astype(jnp.int32) - 1, options)
    count = 1 if shared else len(people)

    def loss(parameters: jax.Array) -> jax.Array:
        whole = jnp.broadcast_to(parameters, (len(people), PARAMETERS))
        logits = jax.vmap(lambda p, c: q_learning(p, c, options))(whole, choices)
        total = -jnp.sum(comes * jax.nn.log_softmax(logits[:, :-1]))
        if prior is not None:
            total += jnp.sum(((parameters - prior[0]) / prior[1]) ** 2) / 2
        return total

    optimizer = optax.adam(LEARNING_RATE)

    @jax.jit
    def run(parameters: jax.Array) -> jax.Array:
        def update(carry: Any, _: Any) -> tuple[Any, None]:
            parameters, memory = carry
            changes, memory = optimizer.update(jax.grad(loss)(parameters), memory)
            return (optax.apply_updates(parameters, changes), memory), None

        return jax.lax.scan(update, (parameters, optimizer.init(parameters)), length=UPDATES)[0][0]

    found = run(jnp.broadcast_to(jnp.asarray(start, jnp.float32), (count, PARAMETERS)))
    return np.broadcast_to(np.asarray(found), (len(people), PARAMETERS))


def hierarchy(people: Sequence[np.ndarray], options: int, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the parameters over people, from those that fit all of them."""
    mean, spread = same, np.ones(PARAMETERS)
    for _ in range(ROUNDS):
        own = fitted(people, options, start=mean, prior=(mean, spread))
        mean, spread = own.mean(axis=0), np.maximum(own.std(axis=0), SMALLEST_SPREAD)
    return mean, spread


def guesses(parameters: np.ndarray, people: Sequence[np.ndarray], options: int) -> list[np.ndarray]:
    """Probabilities of what comes after each choice, of each person."""
    run = jax.jit(lambda p, c: jax.nn.softmax(q_learning(p, c, options)))
    return [np.asarray(run(of, person)) for of, person in zip(parameters, people, strict=True)]


def print_report(report: dict[str, Any], console: Console) -> None:
    """Prints what compare_choices() returned as a table."""
    columns = ["guessed by", "right %", "low", "high", "nats", "at 5 %", "50 %", "95 %"]
    table = figures_table(f"Choices of {report['people']} unseen people", columns, left=("guessed by",))
    for row in report["rows"]:
        shares = (row["accuracy"], *row["interval"])
        people = (f"{100 * share:.0f}" for share in row["of_people"].values())
        table.add_row(row["name"], *(f"{100 * share:.1f}" for share in shares), f"{row['nats']:.3f}", *people)
    console.print(machine_line(report["machine"]))
    console.print(table)


__all__ = ["compare_choices", "fitted", "guesses", "hierarchy", "print_report", "q_learning"]
