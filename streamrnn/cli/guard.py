"""`streamrnn guard`: a model of words, with a voice activity model beside it without which it detects none."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from streamrnn.cli.flags import parse


@dataclass(frozen=True)
class Guard:
    """Adds a guard to a model of digits or keywords: where `vad` detects no speech, no word is detected.

    It prevents detections in music, noise and tones. The guard becomes part of the model's file and runs in the same
    step: it adds computation, but no latency. Fine-tuning with --start keeps it.

    examples:
      streamrnn guard runs/keywords/keywords guarded
      streamrnn run guarded mic
    """

    model: tyro.conf.Positional[str]
    """The name of a shipped model, or the path of a trained one."""
    out: tyro.conf.Positional[Path]
    """The model to write: OUT.safetensors and OUT.json."""
    by: str = "vad"
    """The voice activity model, of the sizes of the shipped `vad`."""
    threshold: float = 0.5
    """Probability of speech, between 0 and 1, at and above which the guard changes nothing."""


def main(args: list[str]) -> None:
    """Runs `streamrnn guard`.

    Raises:
        OSError, ValueError: there is no such model, or it cannot be guarded.
    """
    flags = parse(Guard, "guard", args)
    from streamrnn.models import guarded
    from streamrnn.pretrained import save
    from streamrnn.pretrained.weights import load_weights, weights_path

    try:
        model = guarded(load_weights(flags.model), load_weights(flags.by), flags.threshold)
    except TypeError as error:
        raise ValueError(str(error)) from None
    save(model, flags.out, task=model.task)
    print(f"wrote {weights_path(flags.out)}: {model}")


__all__ = ["Guard", "main"]
