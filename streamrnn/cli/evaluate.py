"""`streamrnn evaluate`: figures of a model on a folder."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from streamrnn.audit.oversight import audit_oversight, store_hand_over
from streamrnn.audit.telling import clips_of, tell_all
from streamrnn.cli.audit_report import oversight_table
from streamrnn.cli.decision import spoken
from streamrnn.cli.flags import default_is, given, parse
from streamrnn.cli.outputs import check_folder, check_outputs
from streamrnn.cli.plot import check_plot
from streamrnn.cli.plot_audit import draw_oversight
from streamrnn.cli.plot_words import draw_confusions
from streamrnn.cli.progress import progress
from streamrnn.cli.situations import situations_table
from streamrnn.cli.thresholds import advice, recommended
from streamrnn.data import Clip, reading_outside
from streamrnn.data.recordings import without
from streamrnn.evaluation import evaluate
from streamrnn.evaluation.evaluate import of_splits
from streamrnn.evaluation.situations import evaluate_situations
from streamrnn.pretrained import locate, save_decided
from streamrnn.runtime import configure
from streamrnn.tasks import find_task

OF_SITUATIONS = ("task", "situations", "only", "model", "threshold", "json")


@dataclass(frozen=True)
class Evaluate:
    """Evaluates a model on labelled recordings, both live in chunks and offline as whole files.

    examples:
      streamrnn evaluate vad --data recordings
      streamrnn evaluate vad --data recordings --model runs/vad/vad.safetensors --json
      streamrnn evaluate keywords --data words --split test --negatives noise music talk --max-alarms-per-hour 1
      streamrnn evaluate keywords --data words --split test --hand-over 0.95 --out runs/sure/keywords
      streamrnn evaluate vad --situations situations --only noise-begins telephone-tones

    A folder holds manifest.csv (path, ...) and the labels of the task. For vad: vad_segments.csv (path, start, end of
    speech in samples). For keywords: a column label, or a folder per word. For digits: a column transcript or label.
    For denoise: a column clean; path is the noisy recording.
    """

    task: tyro.conf.Positional[str]
    """The task of the model, such as vad."""
    data: Annotated[tuple[Path, ...], default_is("use --situations")] = ()
    """Folders of recordings, or folders of such folders."""
    situations: Annotated[Path | None, default_is("use --data")] = None
    """Instead of --data: a folder written by `streamrnn compose situations`. Each situation gives one row of
    figures."""
    only: Annotated[tuple[str, ...], default_is("all")] = ()
    """Evaluate these situations only."""
    model: Annotated[str | None, default_is("the task's shipped model")] = None
    """Name of a shipped model, or the path of a .safetensors file."""
    split: Annotated[tuple[str, ...], default_is("all")] = ()
    """Evaluate recordings of these splits only."""
    exclude: Annotated[tuple[str, ...], default_is("none")] = ()
    """Names of recordings to leave out, such as those with wrong labels."""
    negatives: Annotated[tuple[Path, ...], default_is("none")] = ()
    """For keywords, wake and phrases: folders of sound without any of the words, in which every detection is a false
    alarm. Recordings of the train split are left out; in a folder without splits, those that training would use."""
    grammar: Annotated[Path | None, default_is("phrases drawn from transcripts")] = None
    """For phrases: a TOML file of commands with slots, evaluated on folders with a commands.json, {recording:
    {"intent": ..., "slots": {name: value}}}."""
    threshold: Annotated[float | None, default_is("the model's own")] = None
    """For --situations and --grammar: the score at which speech, a word or a command is detected."""
    hand_over: Annotated[float | None, default_is("not measured")] = None
    """Also find the score from which this share of the answers is right, on recordings of --fit, and measure the
    calibration of the scores. Answers below it are handed to a person, by events of kind abstain."""
    fit: tuple[str, ...] = ("valid",)
    """For --hand-over: the splits on which to fit the score and a temperature. Both are evaluated on --split or,
    without it, on all other splits."""
    out: Annotated[Path | None, default_is("not saved")] = None
    """For --hand-over: write the model here, with that score in its settings."""
    plot: Annotated[Path | None, default_is("no plot")] = None
    """With --hand-over, plot reliability and risk against coverage; for keywords without it, plot the confusion matrix,
    and misses against false alarms."""
    max_alarms_per_hour: Annotated[float | None, default_is("none")] = None
    """For keywords: recommend the threshold that raises at most this many false alarms per hour of sound without
    them."""
    save_threshold: Annotated[Path | None, default_is("not saved")] = None
    """For --max-alarms-per-hour: write the model here, with that threshold in its settings."""
    save_calibration: Annotated[Path | None, default_is("not saved")] = None
    """For phrases: write the model here, with the thresholds measured for each false alarm rate."""
    read_outside: bool = False
    """Read recordings that a table names by paths outside its own folder."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Runs `streamrnn evaluate`. Raises what streamrnn.evaluation.evaluate and evaluate_situations raise."""
    flags = parse(Evaluate, "evaluate", args)
    configure()
    if flags.situations is not None:
        return _in_situations(flags, flags.situations)
    if flags.only:
        raise ValueError("--only names situations. Pass --situations too, or leave it out.")
    if not flags.data:
        raise ValueError("--data names no folder. Pass one folder of recordings, or more.")
    _check_oversight(flags)
    data, split = _one_or_all(flags.data), _one_or_all(flags.split) if flags.split else None
    extra = {"negatives": flags.negatives, "exclude": flags.exclude, "decision": _decision(flags)}
    with reading_outside(flags.read_outside):
        sides = None if flags.hand_over is None else _sides(flags)  # what is missing is told before the model runs
        with progress("recordings") as moved:
            result = evaluate(flags.task, data, _model(flags), split, moved, **extra)
        try:
            _find_more(flags, result, sides)
        finally:
            # What was measured is told also where nothing is found, or where it cannot be written.
            _tell(flags, result)


def _find_more(flags: Evaluate, result: dict[str, Any], sides: tuple[list[Clip], list[Clip]] | None) -> None:
    """What follows from the figures, into the result and into files."""
    if flags.hand_over is not None and sides is not None:
        with progress("recordings") as moved:
            result["oversight"] = _oversight(flags, flags.hand_over, sides, moved)
    if flags.max_alarms_per_hour is not None:
        result["recommended"] = _threshold(flags, result, flags.max_alarms_per_hour)
    if flags.save_calibration is not None:
        save_decided(_model(flags), flags.save_calibration, {"calibration": result["streaming"]["calibration"]})
    if flags.plot is not None and flags.hand_over is None:
        draw_confusions(f"{result['model']} on {result['clips']} recordings", result["streaming"], flags.plot)


def _tell(flags: Evaluate, result: dict[str, Any]) -> None:
    if flags.json:
        print(json.dumps(result, indent=2))
    else:
        Console().print(_table(result))
        if "oversight" in result:
            Console().print(oversight_table(result["oversight"]))
        if "recommended" in result:
            print(advice(result["recommended"], result["streaming"]["detection"]["hours"]))


def _check_oversight(flags: Evaluate) -> None:
    for flag in ("--out", "--fit"):
        if flags.hand_over is None and flag in given(flags):
            raise ValueError(f"{flag} needs --hand-over. Pass --hand-over too, or leave it out.")
    task = find_task(flags.task)
    if flags.hand_over is not None and task is not None and task.lines is not None:
        raise ValueError(f"--hand-over is for tasks of sound; {flags.task} reads lines. Leave it out.")
    if flags.hand_over is not None and (both := sorted({*flags.fit} & {*flags.split})):
        raise ValueError(
            f"--fit and --split both name {', '.join(both)}: a score is judged on other recordings than it is found "
            "on. Name other splits in one of them."
        )
    if flags.plot is not None and flags.hand_over is None and flags.task != "keywords":
        raise ValueError(f"--plot needs --hand-over for {flags.task}. Pass --hand-over too, or leave --plot out.")
    if flags.max_alarms_per_hour is not None and flags.task != "keywords":
        raise ValueError(f"--max-alarms-per-hour is for keywords; {flags.task} raises no alarms. Leave it out.")
    if flags.max_alarms_per_hour is not None and not 0 <= flags.max_alarms_per_hour < math.inf:
        raise ValueError(f"--max-alarms-per-hour is {flags.max_alarms_per_hour:g}; it must be 0 or above, and finite.")
    if flags.save_calibration is not None and flags.task != "phrases":
        raise ValueError(f"--save-calibration is for phrases; {flags.task} has none. Leave it out.")
    if flags.save_threshold is not None and flags.max_alarms_per_hour is None:
        raise ValueError("--save-threshold needs --max-alarms-per-hour. Pass both, or neither.")
    if flags.hand_over is not None and not 0 < flags.hand_over < 1:
        raise ValueError(f"--hand-over is {flags.hand_over:g}; it is a share above 0 and below 1.")
    if flags.plot is not None:
        check_plot(flags.plot)
        check_outputs("", [flags.plot])
    for out in filter(None, (flags.out, flags.save_threshold, flags.save_calibration)):
        locate(_model(flags))  # exported models, say, cannot be written
        check_folder(out.parent)


def _model(flags: Evaluate) -> str:
    # An empty name, as of a variable that is not set, is none.
    return flags.task if flags.model is None else flags.model


def _decision(flags: Evaluate) -> dict[str, Any]:
    if flags.grammar is None and flags.situations is None and flags.threshold is not None:
        raise ValueError("--threshold is for --situations and the commands of --grammar. Pass one, or leave it out.")
    if flags.grammar is not None and flags.task != "phrases":
        raise ValueError(f"--grammar is for phrases; {flags.task} has none. Leave it out.")
    if flags.grammar is not None and flags.save_calibration is not None:
        raise ValueError("--save-calibration needs phrases from transcripts, not --grammar. Leave out one of them.")
    return spoken((), flags.grammar) | ({} if flags.threshold is None else {"threshold": flags.threshold})


def _sides(flags: Evaluate) -> tuple[list[Clip], list[Clip]]:
    """The recordings on which the score is found, and those on which it is judged."""
    clips = without(clips_of(flags.data), flags.exclude)
    judged = flags.split or sorted({clip.split for clip in clips} - {*flags.fit})
    if not judged:
        raise ValueError(
            f"All recordings are of split {', '.join(flags.fit)}, on which --hand-over finds its score, and none is "
            "left to judge it on. Name another split in --fit, or add recordings."
        )
    return of_splits(clips, flags.fit), of_splits(clips, judged)


def _oversight(
    flags: Evaluate, wanted: float, sides: tuple[list[Clip], list[Clip]], moved: Callable[[int, int], None]
) -> dict[str, Any]:
    model = _model(flags)
    fitted, judged = (tell_all(model, flags.data, clips, moved, flags.task) for clips in sides)
    report = audit_oversight(fitted, judged, wanted)
    if flags.out is not None:
        store_hand_over(model, flags.out, report)
    if flags.plot is not None:
        draw_oversight(f"{model} on {len(judged.clips)} recordings", report, flags.plot)
    return report


def _threshold(flags: Evaluate, result: dict[str, Any], most_per_hour: float) -> dict[str, Any]:
    point = recommended(result["streaming"].get("detection"), most_per_hour)
    if flags.save_threshold is not None:
        save_decided(_model(flags), flags.save_threshold, {"threshold": point["threshold"]})
    return point


def _in_situations(flags: Evaluate, situations: Path) -> None:
    if others := given(flags, but=OF_SITUATIONS):
        raise ValueError(
            f"--situations goes with --only, --model, --threshold and --json alone. Leave out {', '.join(others)}."
        )
    with progress("situations") as moved:
        model, decision = _model(flags), _decision(flags)
        result = evaluate_situations(flags.task, situations, model, flags.only, moved, decision)
    if flags.json:
        print(json.dumps(result, indent=2))
    else:
        Console().print(situations_table(f"{result['model']} in situations", {"": result["rows"]}))


def _one_or_all(values: tuple) -> Any:
    return values[0] if len(values) == 1 else values


def _table(result: dict[str, Any]) -> Table:
    places = result["data"] if isinstance(result["data"], str) else ", ".join(result["data"])
    judged = f"{result['lines']} lines" if "lines" in result else f"{result['clips']} recordings"
    table = Table(title=f"{result['model']} on {judged} of {places}", title_justify="left")
    if left_out := result.get("left_out"):
        table.caption = f"{len(left_out)} more could not be judged; --json says why"
    table.add_column("figure", no_wrap=True)
    # Hours of sound are heard live alone.
    figures = {way: dict(_lines(result[way])) for way in ("streaming", "offline") if way in result}
    for way in figures:
        table.add_column(way, justify="right")
    for name in figures["streaming"]:
        table.add_row(name, *(of.get(name, "") for of in figures.values()))
    return table


def _lines(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, figure) of all that is a number or a pair of them, and of a detection curve its points."""
    for name, value in figures.items():
        if name == "calibration":
            continue
        if name == "confusions":
            mistaken = ((label, _others(label, heard)) for label, heard in value.items())
            yield from ((f"{label} taken for", others) for label, others in mistaken if others)
            continue
        match value:
            case dict():
                yield from _lines(value, f"{prefix}{name} ")
            case [{"threshold": _}, *_]:
                yield from ((f"missed, alarms/h at {point['threshold']:.2f}", _point(point)) for point in value)
            case list() | tuple():
                yield f"{prefix}{name}", " to ".join(f"{number:.4g}" for number in value)
            case int() | float():
                yield f"{prefix}{name}", f"{value:.4f}" if isinstance(value, float) else str(value)


def _others(label: str, heard: dict[str, int]) -> str:
    return ", ".join(f"{other} {count}x" for other, count in list(heard.items())[:4] if other != label)


def _point(point: dict[str, Any]) -> str:
    bound = "" if point["bound_per_hour"] is None else f" (below {point['bound_per_hour']:.1f})"
    return f"{100 * point['miss_rate']:.1f} %, {point['false_alarms_per_hour']:.1f}{bound}"


__all__ = ["Evaluate", "main"]
