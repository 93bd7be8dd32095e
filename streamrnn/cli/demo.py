"""`streamrnn demo`: a shipped model on a sample inside the package."""

from dataclasses import dataclass
from typing import Literal

from streamrnn.cli import run
from streamrnn.cli.flags import parse
from streamrnn.samples import sample

SAMPLES = {"vad": "conversation", "keywords": "commands", "digits": "digits"}
NEXT = """
Next, with sound of your own:
  streamrnn run {task} recording.wav
  streamrnn run {task} mic              (needs: pip install "streamrnn[mic]")
  streamrnn run denoise recording.wav --out clean.wav
  streamrnn models                    what else there is"""


@dataclass(frozen=True)
class Demo:
    """Runs a model on a recording that comes with the package and prints its decisions."""

    task: Literal["vad", "keywords", "digits"] = "vad"
    """What to detect: speech, command words or spoken digits."""


def main(args: list[str]) -> None:
    """Runs `streamrnn demo`."""
    flags = parse(Demo, "demo", args)
    path = sample(SAMPLES[flags.task])
    print(f"streamrnn run {flags.task} {path}", flush=True)
    run.main([flags.task, str(path)])
    print(NEXT.format(task=flags.task))


__all__ = ["Demo", "main"]
