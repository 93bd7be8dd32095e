"""Q-learning as the peer of models of choices: it learns, is fitted, and is drawn to its prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.choices import PARAMETERS, START, fitted, guesses, q_learning

GREEDY = np.array([3.0, -9.0, 30.0, 0.0, 0.5], np.float32)


@pytest.fixture(scope="module")
def people():
    """Six who take what gave most, nearly always."""
    rng, found = np.random.default_rng(0), []
    for _ in range(6):
        means, choices = rng.uniform(10, 90, 2), np.array([[1.0, 50.0]], np.float32)
        for _ in range(30):
            probabilities = np.asarray(jax.nn.softmax(logits(GREEDY, choices)[-1]))
            choice = rng.choice(2, p=probabilities / probabilities.sum())
            choices = np.append(choices, [[choice + 1, means[choice]]], axis=0).astype(np.float32)
        found.append(choices)
    return found


def logits(parameters, choices):
    # Always as long, so that it compiles once; what comes after the last one is cut.
    whole = np.zeros((31, 2), np.float32)
    whole[: len(choices)] = choices
    return RUN(parameters, whole)[: len(choices)]


RUN = jax.jit(lambda parameters, choices: q_learning(parameters, choices, 2))


def test_values_follow_rewards_and_what_is_not_chosen_is_forgotten():
    sure = jnp.array([20.0, 20.0, 1.0, 0.0, 0.25])
    told = q_learning(sure, jnp.array([[1.0, 90], [2, 40], [0, 0]]), 3)
    np.testing.assert_allclose(told, [[0.9, 0.25, 0.25], [0.25, 0.4, 0.25], [0.25, 0.25, 0.25]], atol=1e-6)


def test_a_fit_explains_choices_better_than_its_start_and_a_prior_holds_it(people):
    def nats(parameters):
        told = guesses(np.broadcast_to(parameters, (len(people), PARAMETERS)), people, 2)
        chosen = [p[np.arange(30), person[1:, 0].astype(int) - 1] for p, person in zip(told, people, strict=True)]
        return -np.log(np.array(chosen)).mean()

    same = fitted(people, 2, shared=True)
    assert same.shape == (6, PARAMETERS) and (same == same[0]).all()
    assert nats(same[0]) < nats(np.array(START)) - 0.05
    mean = np.array(START, np.float32)
    held = fitted(people, 2, start=mean, prior=(mean, np.full(PARAMETERS, 1e-3)))
    np.testing.assert_allclose(held, np.broadcast_to(mean, held.shape), atol=0.05)
