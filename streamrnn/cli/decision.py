"""Flags for how models decide: those of all kinds of decoders, with the model's own values as defaults."""

import dataclasses
import json
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from streamrnn.cli.flags import default_is
from streamrnn.decisions import SpeechSettings
from streamrnn.tasks import tasks

SHIPPED = Path(__file__).parents[1] / "pretrained"
# What settings of one name mean that kinds of decoders explain each for itself.
SHARED = {
    "threshold": "score at which speech begins, or a word, label or phrase is detected; for phrases, 0 leaves it to "
    "--max-alarms-per-hour.",
    "off_threshold": "score below which speech or a label ends; automatic: for speech, the score with a seventh of the "
    "threshold's odds (0.25 for 0.7, 0.125 for 0.5); for a label, half the threshold.",
    "hand_over": "score below which a decision is followed, or for keywords replaced, by an abstain event, so that a "
    "person can check it; 0: never.",
}


def _all_optional(kinds: tuple[type, ...]) -> type:
    """One dataclass of all fields, each None by default: flags that are not given change nothing. What is given in
    another way is left out (`given_by` in a field's metadata)."""
    types: dict[str, Any] = {}
    for kind in kinds:
        types |= {f.name: f.type for f in dataclasses.fields(kind) if f.name not in types and not f.metadata}
    flags = [
        (name, Annotated[found | None, default_is(_own(name))], field(default=None)) for name, found in types.items()
    ]
    return dataclasses.make_dataclass("decision", flags, frozen=True, namespace={"__doc__": _explained(kinds)})


def _own(setting: str) -> str:
    """The values of that setting in the models that tasks stand for: "the model's own: 0.5 vad, 0.8 keywords"."""
    values: dict[str, list[str]] = {}
    for task, decision in _shipped_decisions():
        if setting in decision:
            value = decision[setting]
            values.setdefault("automatic" if value is None else f"{value:g}", []).append(task)
    return "; ".join(["the model's own", *(f"{value} for {', '.join(names)}" for value, names in values.items())])


@cache
def _shipped_decisions() -> list[tuple[str, dict[str, Any]]]:
    """task -> the decision settings of its default model. No model is loaded: help comes at once."""
    found = []
    for task in tasks():
        path = SHIPPED / f"{task.default}.json"
        if task.decision is not None and path.is_file():
            own = {f.name: f.default for f in dataclasses.fields(task.resolve("decision"))}
            found.append((task.name, own | json.loads(path.read_text("utf-8"))["decision"]))
    return found


def _explained(kinds: tuple[type, ...]) -> str:
    # The command line reads a flag's help from the class's list of attributes.
    lines: dict[str, str] = {}
    for kind in kinds:
        described = (kind.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        lines |= {
            line.split(":")[0].strip(): line for line in _whole(described) if line.split(":")[0].strip() not in lines
        }
    lines |= {name: f"        {name}: {explained}" for name, explained in SHARED.items() if name in lines}
    return (
        "When a model reports an event. Each default names the tasks whose models have the setting.\n\nAttributes:\n"
        + "\n".join(lines.values())
    )


def _whole(described: str) -> list[str]:
    """The entries of a list of attributes, one line each."""
    entries: list[str] = []
    for line in described.splitlines():
        if line.startswith(" " * 12):
            entries[-1] += " " + line.strip()
        elif line.strip():
            entries.append(line)
    return entries


if TYPE_CHECKING:
    DecisionFlags = SpeechSettings
else:
    _kinds = (task.resolve("decision") for task in tasks() if task.decision is not None)
    DecisionFlags = _all_optional(tuple(dict.fromkeys(_kinds)))


def spoken(phrases: tuple[str, ...], grammar: Path | None) -> dict[str, Any]:
    """The settings of what is listened for, by --phrase and --grammar.

    Raises:
        OSError, ValueError: the file of the grammar cannot be read, or is no text.
    """
    found: dict[str, Any] = {"phrases": phrases} if phrases else {}
    if grammar is not None:
        try:
            found["grammar"] = grammar.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError(f"--grammar {grammar} is not UTF-8 text. Pass a TOML file.") from None
        if not found["grammar"].strip():
            raise ValueError(f"--grammar {grammar} is empty. Write [intents], and lists of sentences in it.")
    return found


def given(flags: Any) -> dict[str, Any]:
    """The settings that were given on the command line."""
    return {name: value for name, value in dataclasses.asdict(flags).items() if value is not None}


__all__ = ["DecisionFlags", "given", "spoken"]
