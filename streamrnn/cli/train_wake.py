"""`streamrnn train wake`: from a typed phrase to a model that wakes."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streamrnn.cli.flags import default_is, parse
from streamrnn.cli.outputs import check_folder
from streamrnn.cli.plot import check_plot, draw_panels
from streamrnn.cli.plot_words import draw_detection
from streamrnn.cli.wake_run import claim_models, minutes_of_wake, plan_of_wake
from streamrnn.data import read_clips, read_folder, reading_outside
from streamrnn.data.recordings import recordings_to_train_on
from streamrnn.data.said import say_phrases
from streamrnn.data.voices import Voices, voices_that_are_there
from streamrnn.models import Phonemes
from streamrnn.phonetics.near import near_phrases
from streamrnn.phonetics.pronunciations import plain, ways_of, words_of
from streamrnn.pretrained import save
from streamrnn.pretrained.weights import load_weights
from streamrnn.recipes.wake import Said, WakeTraining, train_wake
from streamrnn.recipes.wake_encoder import CLOSEST
from streamrnn.runtime import configure, keep_memory

# Phrases of fewer sounds are in too much of what people say.
FEWEST_SOUNDS = 5


@dataclass(frozen=True)
class TrainWake:
    """Trains a wake word from its text: synthetic voices say it, and hours of other sound serve as negatives.

    examples:
      streamrnn train wake "hey computer" --data recordings/talk recordings/noise recordings/music
      streamrnn train wake "hey computer" --data recordings --kokoro voices/kokoro --clips 500
      streamrnn train wake "hey computer" --data recordings --recordings my_voice --max-alarms-per-hour 0.2

    For each phrase it writes OUT/hey-computer.safetensors, with .report.json and .report.png beside it. Synthesised
    clips stay in OUT/said and OUT/near, so the same command resumes from there. Each phrase becomes its own model,
    and other sound is processed once for all.
    """

    phrases: tyro.conf.Positional[tuple[str, ...]]
    """The wake words, as text."""
    data: tuple[Path, ...] = ()
    """Folders of sound without the phrase: speech of any language, noise*, music*, rir*. The more varied, the fewer
    false alarms."""
    recordings: Annotated[Path | None, default_is("synthetic voices alone")] = None
    """A folder of human recordings of the phrase alone, to train on as well."""
    kokoro: Annotated[Path | None, default_is("without it")] = None
    """A folder with kokoro.onnx, vocab.json and styles such as af_heart.bin, for natural voices."""
    clips: int = 400
    """Clips of the phrase to synthesise."""
    near: int = 300
    """Clips of similar-sounding phrases to synthesise."""
    exclude: tuple[str, ...] = ()
    """Names of recordings in --data to leave out, such as those that contain the phrase; NAME@12.5 is the clip at
    second 12.5 of a recording that holds many."""
    encoder: str = "phonemes-en"
    """The phoneme model to use as encoder: name of a shipped model, or a path."""
    out: Path = Path("runs", "wake")
    """Folder for the model, the report and the synthesised clips."""
    training: WakeTraining = field(default_factory=WakeTraining)
    dry_run: bool = False
    """Print the plan and how long it takes, and exit before synthesis."""
    read_outside: bool = False
    """Read recordings that a table names by paths outside its own folder."""


def main(args: list[str]) -> None:
    """Runs `streamrnn train wake`. Raises what train_wake, voices_that_are_there and words_of raise."""
    flags = parse(TrainWake, "train wake", args)
    configure()
    keep_memory()
    if not flags.phrases:
        raise ValueError('no phrase came. Pass the wake word, such as "hey computer".')
    phrases = [plain(phrase) for phrase in flags.phrases]
    for phrase in phrases:
        if (sounds := min(map(len, ways_of(words_of(phrase))))) < FEWEST_SOUNDS:
            print(
                f"{phrase!r} has {sounds} sounds; so short a phrase is in much of what people say. Expect false "
                "alarms, or choose a longer one, such as two words."
            )
    if not flags.data:
        raise ValueError(
            "--data names no folder. A wake word is told apart from other sound: pass folders of speech, noise and "
            "music without it, hours of them."
        )
    for name, fewest in (("clips", 0 if flags.recordings else 1), ("near", 0)):
        if (count := getattr(flags, name)) < fewest:
            raise ValueError(f"--{name} is {count}; it must be at least {fewest}.")
    check_folder(flags.out)
    listener = load_weights(flags.encoder)
    if not isinstance(listener, Phonemes):
        raise ValueError(f"--encoder {flags.encoder} is a {type(listener).__name__}; it needs a model of phonemes.")
    check_plot(flags.out / "x.png")
    with reading_outside(flags.read_outside), _shown() as shown:
        # What can be wrong with folders is said before voices have spoken for minutes.
        found, voices = recordings_to_train_on(flags.data, flags.exclude), _voices(flags.kokoro)
        own = [] if flags.recordings is None else read_folder(flags.recordings)
        models = {phrase: flags.out / f"{_name(phrase)}.safetensors" for phrase in phrases}
        print(plan_of_wake(flags, models, found, own, voices), flush=True)
        if flags.dry_run:
            print(minutes_of_wake(flags, models, listener, voices))
            return
        claim_models(flags, models, found, own, voices)
        said = {phrase: _said(flags, phrase, voices, listener.settings.sample_rate, shown) for phrase in phrases}
        for phrase, model, figures in train_wake(listener, said, found, flags.training, shown):
            path = models[phrase]
            # Whoever gets the model has no use for paths of this machine.
            shared = {name: of for name, of in figures.items() if name != "closest"}
            save(model, path, task="wake", figures={"validation": shared})
            path.with_suffix(".report.json").write_text(json.dumps({"phrase": phrase, **figures}, indent=2) + "\n")
            draw_panels(path.with_suffix(".report.png"), partial(_draw, figures))
            print(_told(phrase, figures, flags.training.max_alarms_per_hour))
            print(_told_of_closest(phrase, figures["closest"]), end="")
            print(f"wrote {path}. Next: streamrnn run {path} mic", flush=True)


def _name(phrase: str) -> str:
    return re.sub("[^a-z0-9]+", "-", phrase).strip("-") or "wake"


def _draw(figures: dict[str, Any], panel: Any) -> None:
    draw_detection(panel, figures)


def _voices(kokoro: Path | None) -> list[Voices]:
    """The voices at hand. Raises ValueError with what to install where there is none."""
    try:
        return voices_that_are_there(kokoro)
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def _said(
    flags: TrainWake, phrase: str, voices: list[Voices], rate: int, shown: Callable[[str, int, int], None]
) -> Said:
    """What voices and people say, read."""
    seed = flags.training.seed
    alike = near_phrases(phrase, flags.near, np.random.default_rng(seed))
    asked = {
        "said": ([phrase], flags.clips, f"{phrase!r}, said"),
        "near": (alike, min(flags.near, 5 * len(alike)), f"what sounds like {phrase!r}, said"),
    }
    read: dict[tuple[str, str], list[np.ndarray]] = {}
    for name, (phrases, count, told) in asked.items():
        folder = flags.out / name / _name(phrase)
        if count:
            say_phrases(phrases, count, voices, folder, rate, seed, partial(shown, told))
            for clip, samples in read_clips(read_folder(folder)[:count], rate):
                read.setdefault((name, clip.split), []).append(samples)
    if flags.recordings is not None:
        for clip, samples in read_clips(read_folder(flags.recordings), rate):
            read.setdefault(("said", "valid" if clip.split == "valid" else "train"), []).append(samples)
    return Said(
        ways_of(words_of(phrase)),
        *(read.get(key, []) for key in (("said", "train"), ("near", "train"), ("said", "valid"), ("near", "valid"))),
    )


def _told(phrase: str, figures: dict[str, Any], most: float) -> str:
    """What was measured, in two sentences."""
    point = next(p for p in figures["curve"] if p["threshold"] == figures["threshold"])
    hours, alarms = point["hours"], point["false_alarms"]
    rate = (
        f"{point['false_alarms_per_hour']:.2g} per hour"
        if alarms
        else f"below {point['bound_per_hour']:.2g} per hour (95 %)"
    )
    told = (
        f"{phrase!r} at threshold {point['threshold']:.4f}: {100 * point['miss_rate']:.1f} % missed of "
        f"{figures['recordings']} recordings that training never heard, laid {figures['words']} times among other "
        f"sound; {alarms} false alarms in {hours:.2f} h, {rate}."
    )
    if hours * most < 3:
        told += (
            f" {hours:.2f} h cannot show that there are at most {most:g} per hour: that takes {3 / most:.0f} h without "
            "an alarm. Add sound of split valid."
        )
    return told


def _told_of_closest(phrase: str, closest: dict[str, list[dict[str, Any]]]) -> str:
    """The recordings that come closest, a line each; nothing where there is none."""
    lines = [
        f"  {one['score']:.3f}  {one['recording']} at {one['at_s']:.1f} s"
        for one in sorted((one for of_split in closest.values() for one in of_split), key=lambda one: -one["score"])
    ]
    if not lines:
        return ""
    told = (
        f"These come closest to {phrase!r}. Listen to them; where it is said, train again with --exclude NAME, or "
        "NAME@SECONDS for one clip of many:"
    )
    return "\n".join([told, *lines[:CLOSEST]]) + "\n"


@contextmanager
def _shown() -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function of (what, done, total): a bar for each thing that is done, with the time left."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
                if not console.is_terminal:
                    print(f"{what}: {total:,} at most", flush=True)
            bars.update(tasks[what], completed=done)

        yield show


__all__ = ["main"]
