"""`streamrnn enrol`: a speaker model that knows voices by name."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from streamrnn.cli.flags import parse


@dataclass(frozen=True)
class Enrol:
    """Enrols voices in a speaker model, from five to ten seconds of each.

    examples:
      streamrnn enrol voices ada=ada.wav bob=bob.wav bob=bob2.wav --out known
      streamrnn run known mic
    """

    model: tyro.conf.Positional[str]
    """A speaker model, as made by `streamrnn convert resemblyzer`."""
    voices: tyro.conf.Positional[tuple[str, ...]]
    """NAME=RECORDING of that voice alone. Several recordings of one name are combined."""
    out: Path
    """The model to write: OUT.safetensors and OUT.json. It does not include voices already enrolled in MODEL."""


def main(args: list[str]) -> None:
    """Runs `streamrnn enrol`.

    Raises:
        OSError, TypeError, ValueError: the model or a recording cannot be used.
    """
    flags = parse(Enrol, "enrol", args)
    named: dict[str, list[Path]] = {}
    for voice in flags.voices:
        name, equals, path = voice.partition("=")
        if not (name and equals and path):
            raise ValueError(f"enrol got {voice!r}; it needs NAME=RECORDING, such as ada=ada.wav.")
        named.setdefault(name, []).append(Path(path))
    from streamrnn.models import Speaker
    from streamrnn.pretrained import save
    from streamrnn.pretrained.weights import load_weights, weights_path
    from streamrnn.runtime import enrol

    model = load_weights(flags.model)
    if not isinstance(model, Speaker):
        raise ValueError(f"{flags.model} is a {type(model).__name__}; enrol needs a speaker model.")
    enrolled = enrol(model, named)
    save(enrolled, flags.out, task="speaker")
    print(f"wrote {weights_path(flags.out)}, which knows {', '.join(enrolled.settings.speakers)}")


__all__ = ["Enrol", "main"]
