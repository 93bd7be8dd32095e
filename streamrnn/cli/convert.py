"""`streamrnn convert`: models of other packages, whose weights are not shipped, as models of this one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from streamrnn.cli.flags import default_is, parse


@dataclass(frozen=True)
class Convert:
    """Converts another package's weights to a model. Neither the package nor PyTorch is imported.

    resemblyzer: the speaker encoder of Resemblyzer (Apache-2.0), in which `streamrnn enrol` enrols voices.

    examples:
      pip download --no-deps resemblyzer
      streamrnn convert resemblyzer voices --weights Resemblyzer-0.1.4-py3-none-any.whl
    """

    package: tyro.conf.Positional[Literal["resemblyzer"]]
    """The package whose weights to convert."""
    out: tyro.conf.Positional[Path]
    """The model to write: OUT.safetensors and OUT.json."""
    weights: Annotated[Path | None, default_is("those of the installed package")] = None
    """The package's wheel, or the weights file in it."""


def main(args: list[str]) -> None:
    """Runs `streamrnn convert`.

    Raises:
        OSError, ValueError: the weights are missing or others.
    """
    flags = parse(Convert, "convert", args)
    from streamrnn.pretrained import save
    from streamrnn.pretrained.resemblyzer import convert_resemblyzer
    from streamrnn.pretrained.weights import weights_path

    model = convert_resemblyzer(flags.weights)
    save(model, flags.out, task="speaker")
    written = weights_path(flags.out)
    print(f"wrote {written}: {model}")
    print(f"next: streamrnn enrol {written} ada=ada.wav bob=bob.wav --out known")


__all__ = ["Convert", "main"]
