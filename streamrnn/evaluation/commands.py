"""Evaluation of commands with slots: the detected intent and slots, live and offline."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data import Clip
from streamrnn.data.tables import read_text
from streamrnn.decisions import bootstrap_interval
from streamrnn.evaluation.judging import OnProgress, decided, judge_all, scan_clip, stream_clip
from streamrnn.models import Model

TABLE = "commands.json"


@dataclass(frozen=True)
class Command:
    """The intent of a grammar's sentence, and the value of each spoken slot."""

    intent: str
    slots: Mapping[str, str]


@dataclass(frozen=True)
class JudgedCommand:
    """A command and its detection, None if there was none, streaming and offline."""

    meant: Command
    streaming: Command | None
    offline: Command | None


def evaluate_commands(
    model: Model, folders: Sequence[Path], clips: Sequence[Clip], progress: OnProgress | None = None
) -> dict[str, Any]:
    """The clips, streaming and offline entries of streamrnn.evaluation.evaluate, for a model with a grammar.

    Each folder holds commands.json: for each recording, by its path in that folder or by its name, with or without the
    ending, {"intent": ..., "slots": {name: value}}. Recordings that it does not name are left out. Of several events of
    a recording the one of the highest score counts. Figures, shares of all commands or of all slots that were said:

    - heard: commands for which there was an event.
    - intent: those with the right intent.
    - right: those with the right intent, every slot that was said, and no other; right_interval is its 95 % interval by
      the bootstrap over commands.
    - slots_right: slots that were said and have the right value.
    - slots_invented: slots that were heard and not said, per command.

    Raises:
        FileNotFoundError: no folder has that table.
        ValueError: a table is no such JSON, or names no recording.
        AudioError: no clip could be read.
    """
    meant = _commands_of(folders, clips)

    def judge(clip: Clip) -> JudgedCommand:
        outputs, _, duration_s = stream_clip(model, clip)
        heard = (_heard(model, y, duration_s) for y in (outputs, scan_clip(model, clip)))
        return JudgedCommand(meant[clip], *heard)

    judged, left_out = judge_all(list(meant), judge, progress)
    return {
        "clips": len(judged),
        "streaming": command_figures([(each.meant, each.streaming) for each in judged]),
        "offline": command_figures([(each.meant, each.offline) for each in judged]),
        **left_out,
    }


def _commands_of(folders: Sequence[Path], clips: Sequence[Clip]) -> dict[Clip, Command]:
    tables = {folder: _read(folder / TABLE) for folder in folders if (folder / TABLE).is_file()}
    if not tables:
        named = ", ".join(map(str, folders))
        raise FileNotFoundError(f"{named} has no {TABLE}, which tells the intent and the slots of each recording.")
    found = {clip: command for clip in clips if (command := _command_of(clip, tables)) is not None}
    if not found:
        named, example = ", ".join(str(folder / TABLE) for folder in tables), next(chain(*tables.values()), "nothing")
        raise ValueError(f"{named} names none of {len(clips)} recordings, but {example}.")
    return found


def _command_of(clip: Clip, tables: Mapping[Path, Mapping[str, Command]]) -> Command | None:
    """The command of a recording by the table of its own folder: others may have recordings of the same name."""
    # A manifest may name recordings of elsewhere; they belong to its folder.
    above = (*Path(clip.place).parents, *clip.path.parents)
    folder = next((folder for folder in above if folder in tables), None)
    if folder is None:
        return None
    within = clip.path.relative_to(folder) if clip.path.is_relative_to(folder) else clip.path
    names = (within.as_posix(), within.with_suffix("").as_posix(), clip.path.name, clip.path.stem)
    return next((tables[folder][name] for name in names if name in tables[folder]), None)


def _read(table: Path) -> dict[str, Command]:
    """The commands by the names or paths of recordings, as they are and without their endings."""
    text = read_text(table)
    try:
        rows = json.loads(text)
        commands = {
            name: Command(_text(row["intent"]), {slot: _text(value) for slot, value in row["slots"].items()})
            for name, row in rows.items()
        }
        without = {Path(name).with_suffix("").as_posix(): command for name, command in commands.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f'{table} is no table of commands ({error!r}). Write {{"a.wav": {{"intent": "light", "slots": '
            '{"colour": "red"}}}.'
        ) from None
    return commands | {name: command for name, command in without.items() if name not in commands}


def _text(value: Any) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value).strip()
    raise ValueError(f"{value!r} is no intent, and no value of a slot; slots that were not said are left out")


def _heard(model: Model, outputs: np.ndarray, duration_s: float) -> Command | None:
    events = decided(model, outputs, duration_s)
    if not events:
        return None
    best = max(events, key=lambda event: event.score)
    return Command(best.label, dict(best.slots))


def command_figures(pairs: Sequence[tuple[Command, Command | None]]) -> dict[str, Any]:
    """The figures of `evaluate_commands` of pairs (meant, heard)."""
    heard = [(meant, found) for meant, found in pairs if found is not None]
    right = [found is not None and (meant.intent, meant.slots) == (found.intent, found.slots) for meant, found in pairs]
    said = sum(len(meant.slots) for meant, _ in pairs)
    slots = sum(found.slots.get(name) == value for meant, found in heard for name, value in meant.slots.items())
    invented = sum(len(found.slots.keys() - meant.slots.keys()) for meant, found in heard)
    return {
        "heard": len(heard) / len(pairs),
        "intent": sum(meant.intent == found.intent for meant, found in heard) / len(pairs),
        "right": sum(right) / len(pairs),
        "right_interval": list(bootstrap_interval([int(each) for each in right], [1] * len(pairs))),
        "slots": said,
        "slots_right": slots / said if said else 1.0,
        "slots_invented": invented / len(pairs),
    }


__all__ = ["Command", "command_figures", "evaluate_commands"]
