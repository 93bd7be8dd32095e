"""`streamrnn push`: a model to the Hugging Face Hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from streamrnn.cli.flags import default_is, parse


@dataclass(frozen=True)
class Push:
    """Puts a model on the Hugging Face Hub, for streamrnn.load("hf://owner/name").

    examples:
      streamrnn push runs/vad/vad ada/vad-kitchen --license cc-by-4.0
      streamrnn push vad ada/vad-kitchen --private

    The token is that of `hf auth login`, or the environment variable HF_TOKEN.
    """

    model: tyro.conf.Positional[str]
    """Name of a model (see `streamrnn models`), or path of a .safetensors file."""
    repository: tyro.conf.Positional[str]
    """Target repository, owner/name. It is created if missing."""
    private: bool = False
    """Make a new repository private."""
    branch: Annotated[str | None, default_is("the main one")] = None
    """Branch to push to."""
    card: Annotated[Path | None, default_is("the .md beside the weights, or a short one; none over another page")] = (
        None
    )
    """Markdown file to use as the repository's page."""
    license: Annotated[str | None, default_is("none is told")] = None
    """Licence of the weights, as the Hub names it: apache-2.0, cc-by-4.0."""
    message: Annotated[str | None, default_is("the model's name")] = None
    """Commit message."""


def main(args: list[str]) -> None:
    """Runs `streamrnn push`.

    Raises:
        OSError, ValueError, ImportError: the model cannot be used, the Hub refuses, or a package is missing.
    """
    flags = parse(Push, "push", args)
    from streamrnn.pretrained.hub import push

    pinned = push(
        flags.model,
        flags.repository,
        private=flags.private,
        branch=flags.branch,
        card=flags.card,
        licence=flags.license,
        message=flags.message,
    )
    print(f"pushed {pinned}")


__all__ = ["Push", "main"]
