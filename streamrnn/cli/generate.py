"""`streamrnn generate`: what a model of the next item writes after a prompt, or how a model of music plays on."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from streamrnn.cli.flags import default_is, parse
from streamrnn.cli.outputs import check_outputs


@dataclass(frozen=True)
class Generate:
    """Continues a prompt: text character by character, music frame by frame.

    examples:
      streamrnn generate typing "ROMEO:"                                     200 characters
      streamrnn generate typing "To be" --items 500 --temperature 0.8        more predictable
      streamrnn generate typing "To be" --temperature 0                      the likeliest, always the same text
      streamrnn generate music "C3 G3 E4 C5, F3 A3 F4 C5" --out song.wav --plot song.png
    """

    model: tyro.conf.Positional[str]
    """Name or path of a model of characters or music."""
    prompt: tyro.conf.Positional[str]
    """What to continue: text; for music, the sounding keys of each frame, with commas between frames."""
    items: int = 200
    """Number of characters or frames to generate."""
    temperature: float = 1.0
    """Sampling temperature: 1 samples from the model's probabilities, lower values favour likely items, 0 takes the
    likeliest."""
    top_k: Annotated[int | None, default_is("all")] = None
    """Sample only from this many of the likeliest characters."""
    seed: int = 0
    """Random seed: the same seed gives the same output."""
    out: Path | None = None
    """For music: also write it as sound to this file (.wav, .flac, .ogg)."""
    plot: Path | None = None
    """For music: also plot it to this file (.png, .svg, .pdf)."""


def main(args: list[str]) -> None:
    """Runs `streamrnn generate`. Raises what streamrnn.generate raises."""
    flags = parse(Generate, "generate", args)
    from streamrnn.models import Music, NextItem
    from streamrnn.pretrained.weights import load_weights
    from streamrnn.runtime import configure

    configure()
    model = load_weights(flags.model)
    if isinstance(model, Music):
        _play(model, flags)
    elif isinstance(model, NextItem):
        _write(model, flags)
    else:
        told = f"{flags.model} is a {type(model).__name__}; generate needs a model of characters, such as typing, or of"
        raise ValueError(f"{told} music.")


def _write(model: Any, flags: Generate) -> None:
    from streamrnn.lines import TextLines

    for name in ("out", "plot"):
        if getattr(flags, name) is not None:
            raise ValueError(f"--{name} is for models of music; {flags.model} writes text. Leave it out.")
    lines = TextLines(model)
    ids, unknown = lines.known(flags.prompt)
    if unknown:
        told = ", ".join(map(repr, unknown))
        print(f"streamrnn: the model does not know {told}; taken as the letter within, or a blank", file=sys.stderr)
    drawn = _drawn(model, ids, flags)
    print(flags.prompt, end="", flush=True)
    for item in drawn:
        print(lines.symbols[item], end="", flush=True)
    print()


def _play(model: Any, flags: Generate) -> None:
    from streamrnn.audio.writing import require_format, write_audio
    from streamrnn.cli.plot import check_plot
    from streamrnn.cli.plot_music import draw_roll
    from streamrnn.lines import REST, MusicLines, name_of, sound_of

    if flags.plot is not None:
        check_plot(flags.plot)
    if flags.out is not None:
        require_format(flags.out)
    check_outputs(flags.model, [path for path in (flags.out, flags.plot) if path is not None])
    lines, s, rate = MusicLines(model), model.settings, 16_000
    given = [lines.frames(frame)[0] for frame in flags.prompt.split(",") if frame.strip()]
    frames = list(given)
    for frame in _drawn(model, given, flags):
        frames.append(frame)
        print(" ".join(lines.names(frame)) or REST, flush=True)
    if flags.out is not None:
        write_audio(flags.out, sound_of(frames, s.lowest_midi, s.frames_per_s, rate), rate)
    if flags.plot is not None:
        draw_roll(np.array(frames), len(given), s.lowest_midi, name_of, flags.plot)


def _drawn(model: Any, prompt: Any, flags: Generate) -> Any:
    from streamrnn.runtime import generate

    drawing = {"temperature": flags.temperature, "top_k": flags.top_k, "seed": flags.seed}
    return generate(model, prompt, flags.items, **drawing)


__all__ = ["Generate", "main"]
