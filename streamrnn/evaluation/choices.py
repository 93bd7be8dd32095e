"""Evaluation of models of choices: how often they predict a person's next choice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data.choices import read_people
from streamrnn.decisions.errors import bootstrap_interval
from streamrnn.evaluation.judging import OnProgress, unfit
from streamrnn.models import Choices, Model
from streamrnn.runtime import Stream, run_file


def evaluate_choices(
    model: Model, places: Sequence[Path], split: str = "test", progress: OnProgress | None = None
) -> dict[str, Any]:
    """The lines, streaming and offline entries of streamrnn.evaluation.evaluate. Each person is a stream.

    Every choice but a person's first is evaluated. Metrics: accuracy, the share predicted, with its 95 % interval by a
    bootstrap over people; of_people, the 5th, 50th and 95th percentiles of people's shares; nats, the mean of -log p of
    the choice made; repeat, the share of choices equal to the one before.

    Raises:
        ValueError: it is not a model of choices, the data have choices or rewards that the model lacks, there is no
            such part, or nobody in it chose twice.
    """
    if not isinstance(model, Choices):
        raise unfit("evaluate choices", model, "a model of choices")
    people = read_people(places).part(split)
    if (most := max(person[:, 0].max() for person in people)) > model.settings.options:
        raise ValueError(f"There are choices up to {most:g}; this model has {model.settings.options}.")
    if (highest := max(person[:, 1].max() for person in people)) > model.settings.highest:
        raise ValueError(
            f"There are rewards up to {highest:g}; live, this model refuses those above {model.settings.highest:g}. "
            "Pass the --model that was trained on this table."
        )
    stream, live = Stream(model), []
    for number, person in enumerate(people, start=1):
        live.append(stream.process(person))
        stream.reset()
        if progress is not None:
            progress(number, len(people))
    return {
        "lines": sum(map(len, people)),
        "streaming": figures(live, people),
        "offline": figures([run_file(model, person) for person in people], people),
    }


def figures(guesses: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> dict[str, Any]:
    """The metrics of `evaluate_choices`, from probabilities [choices, options] of what comes after each choice."""
    right, nats, again = [], [], []
    for probabilities, person in zip(guesses, people, strict=True):
        comes = person[1:, 0].astype(int)
        made = comes > 0
        told, chosen, before = probabilities[:-1][made], comes[made] - 1, person[:-1, 0][made] - 1
        right.append(told.argmax(axis=1) == chosen)
        nats.append(-np.log(np.maximum(told[np.arange(len(chosen)), chosen], 1e-12)))
        again.append(before == chosen)
    counts = np.array([[of.sum(), len(of)] for of in right])
    # A person with a single choice has no share.
    counts = counts[counts[:, 1] > 0]
    fewest, middle, most = np.percentile(counts[:, 0] / counts[:, 1], [5, 50, 95])
    return {
        "accuracy": float(counts[:, 0].sum() / counts[:, 1].sum()),
        "interval": list(bootstrap_interval(counts[:, 0], counts[:, 1])),
        "of_people": {"5 %": float(fewest), "50 %": float(middle), "95 %": float(most)},
        "nats": float(np.concatenate(nats).mean()),
        "repeat": float(np.concatenate(again).mean()),
    }


__all__ = ["evaluate_choices", "figures"]
