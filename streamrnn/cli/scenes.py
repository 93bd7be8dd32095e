"""`streamrnn scenes`: test recordings with known truth."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from streamrnn.cli.flags import default_is, parse
from streamrnn.cli.progress import progress
from streamrnn.recipes.noisy_set import write_noisy_speech
from streamrnn.recipes.scenes import write_scenes

WRITERS: dict[str, Callable[..., None]] = {"vad": write_scenes, "denoise": write_noisy_speech}


@dataclass(frozen=True)
class Scenes:
    """Composes recordings of speech, noise and music, with the truth about them: where somebody speaks (vad), or the
    same speech without the noise (denoise).

    examples:
      streamrnn scenes --data data --out scenes
      streamrnn evaluate vad --data scenes
      streamrnn scenes --task denoise --data data --out noisy
      streamrnn evaluate denoise --data noisy --model denoise
    """

    data: Path
    """Folder of folders of recordings, as for streamrnn train."""
    out: Path
    """Folder to write: recordings and manifest.csv; for vad vad_segments.csv, too. Made where missing."""
    task: Literal["vad", "denoise"] = "vad"
    """What the scenes are to judge."""
    clips: int = 120
    """Scenes."""
    duration_s: Annotated[float | None, default_is("30 for vad, 5 for denoise")] = None
    """Length of a scene."""
    split: str = "test"
    """Split of the recordings that scenes are made of: train, valid or test."""
    seed: int = 0
    """Chooses the scenes."""
    sample_rate: int = 16_000
    """Samples per second; 8000 makes telephone-band scenes."""


def main(args: list[str]) -> None:
    """Runs `streamrnn scenes`. Raises what write_scenes and write_noisy_speech raise."""
    flags = parse(Scenes, "scenes", args)
    length = {} if flags.duration_s is None else {"duration_s": flags.duration_s}
    with progress("scenes") as moved:
        WRITERS[flags.task](
            flags.data,
            flags.out,
            clips=flags.clips,
            **length,
            split=flags.split,
            seed=flags.seed,
            sample_rate=flags.sample_rate,
            progress=moved,
        )
    print(f"wrote {flags.clips} scenes to {flags.out}. Next: streamrnn evaluate {flags.task} --data {flags.out}")


__all__ = ["Scenes", "main"]
