"""Recordings inside the package, to try things with: synthetic voices, made for this project (CC0)."""

from pathlib import Path

from streamrnn.suggestions import did_you_mean

FOLDER = Path(__file__).parent


def sample(name: str = "conversation") -> Path:
    """The path of a sample recording, Ogg Opus: "conversation", "commands", "digits" or "hall".

    conversation: two people taking turns. commands: ten English command words. digits: zero to nine, one at a time.
    hall: a far speaker in a noisy hall. Every function that takes a recording takes the path.

    Raises:
        ValueError: there is no such sample; the message names those that there are.
    """
    path = FOLDER / f"{name}.opus"
    known = sorted(path.stem for path in FOLDER.glob("*.opus"))
    if name not in known:
        raise ValueError(f"There is no sample {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}.")
    return path


__all__ = ["sample"]
