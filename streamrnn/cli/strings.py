"""`streamrnn strings`: test recordings of words joined into strings, with their transcripts."""

from dataclasses import dataclass
from pathlib import Path

from streamrnn.cli.flags import parse
from streamrnn.cli.progress import progress
from streamrnn.models.transcription import DIGITS
from streamrnn.recipes.string_sets import write_strings


@dataclass(frozen=True)
class Strings:
    """Joins recordings of single words into strings, with transcripts and the times of all words.

    examples:
      streamrnn strings --data speech_commands --out strings
      streamrnn evaluate digits --data strings
    """

    data: tuple[Path, ...]
    """Folders of recordings, as for streamrnn train digits."""
    out: Path
    """Folder to write: recordings, manifest.csv and words.csv. Made where missing."""
    strings: int = 100
    """How many."""
    symbols: tuple[str, ...] = DIGITS
    """The words that strings are made of."""
    split: str = "test"
    """Split of the recordings: train, valid or test."""
    seed: int = 0
    """Chooses words and pauses."""
    sample_rate: int = 16_000
    """Samples per second."""


def main(args: list[str]) -> None:
    """Runs `streamrnn strings`. Raises what write_strings raises."""
    flags = parse(Strings, "strings", args)
    with progress("strings") as moved:
        write_strings(
            flags.data,
            flags.out,
            strings=flags.strings,
            symbols=flags.symbols,
            split=flags.split,
            seed=flags.seed,
            sample_rate=flags.sample_rate,
            progress=moved,
        )
    print(f"wrote {flags.strings} strings to {flags.out}. Next: streamrnn evaluate digits --data {flags.out}")


__all__ = ["Strings", "main"]
