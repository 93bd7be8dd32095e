"""`streamrnn card`: whether a model's card says what it has to."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from streamrnn.cli.flags import parse
from streamrnn.data.tables import read_text
from streamrnn.pretrained.cards import TEMPLATE, audited_digest, missing_parts, weights_digest
from streamrnn.pretrained.weights import locate


@dataclass(frozen=True)
class Card:
    """Checks that a model card is complete: data, licences, consent, figures, groups, privacy, oversight.

    The card is NAME.md beside NAME.safetensors. Missing parts are listed, with exit status 2.
    """

    model: tyro.conf.Positional[str]
    """Name of a shipped model, or the path of a .safetensors file."""
    template: bool = False
    """Print a card to fill in instead."""


def main(args: list[str]) -> None:
    """Runs `streamrnn card`.

    Raises:
        FileNotFoundError: there is no such model, or it has no card.
        ValueError: parts of the card are missing, and the message lists them; or it is no text in UTF-8.
    """
    flags = parse(Card, "card", args)
    weights = locate(flags.model)
    if flags.template:
        print(TEMPLATE.format(name=weights.stem, digest=weights_digest(weights)), end="")
        return
    print(checked(weights))


def checked(weights: Path) -> str:
    """What is to be said of a complete card. Errors as of `main`."""
    path = weights.with_suffix(".md")
    if not path.is_file():
        raise FileNotFoundError(
            f"{weights.name} has no card {path}. Begin one with: streamrnn card {weights} --template > {path}"
        )
    card = read_text(path)
    if missing := missing_parts(card):
        raise ValueError(f"{path} lacks:\n" + "\n".join(f"  - {part}" for part in missing))
    said, digest = f"{path.name} is complete.", weights_digest(weights)
    if audited_digest(card) != digest:
        said += f" Its audit is of other weights ({audited_digest(card)}, here {digest}): audit them again."
    return said


__all__ = ["Card", "main"]
