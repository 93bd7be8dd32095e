"""`streamrnn scenes`: test recordings with known truth."""

from dataclasses import dataclass
from pathlib import Path

from streamrnn.cli.flags import parse
from streamrnn.cli.progress import progress
from streamrnn.recipes.scenes import write_scenes


@dataclass(frozen=True)
class Scenes:
    """Composes recordings of speech, noise, music and rooms, with the truth about where somebody speaks.

    examples:
      streamrnn scenes --data data --out scenes
      streamrnn evaluate vad --data scenes
    """

    data: Path
    """Folder of folders of recordings, as for streamrnn train vad."""
    out: Path
    """Folder to write: recordings, manifest.csv and vad_segments.csv. Made where missing."""
    clips: int = 120
    """Scenes."""
    duration_s: float = 30.0
    """Length of a scene."""
    split: str = "test"
    """Split of the recordings that scenes are made of: train, valid or test."""
    seed: int = 0
    """Chooses the scenes."""
    sample_rate: int = 16_000
    """Samples per second; 8000 makes telephone-band scenes."""


def main(args: list[str]) -> None:
    """Runs `streamrnn scenes`. Raises what write_scenes raises."""
    flags = parse(Scenes, "scenes", args)
    with progress("scenes") as moved:
        write_scenes(
            flags.data,
            flags.out,
            clips=flags.clips,
            duration_s=flags.duration_s,
            split=flags.split,
            seed=flags.seed,
            sample_rate=flags.sample_rate,
            progress=moved,
        )
    print(f"wrote {flags.clips} scenes to {flags.out}. Next: streamrnn evaluate vad --data {flags.out}")


__all__ = ["Scenes", "main"]
