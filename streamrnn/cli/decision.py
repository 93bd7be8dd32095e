"""Flags for how models decide: those of all kinds of decoders, with the model's own values as defaults."""

import dataclasses
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any

from streamrnn.cli.flags import default_is
from streamrnn.decisions import KeywordSettings, SpeechSettings, TranscriptSettings
from streamrnn.decisions.attenuation import SoundSettings

KINDS = (SpeechSettings, KeywordSettings, TranscriptSettings, SoundSettings)


def _all_optional(kinds: tuple[type, ...]) -> type:
    """One dataclass of all fields, each None by default: flags that are not given change nothing."""
    types: dict[str, Any] = {}
    for kind in kinds:
        types |= {f.name: f.type for f in dataclasses.fields(kind) if f.name not in types}
    hint = default_is("the model's own")
    flags = [(name, Annotated[found | None, hint], field(default=None)) for name, found in types.items()]
    return dataclasses.make_dataclass("decision", flags, frozen=True, namespace={"__doc__": _explained(kinds)})


def _explained(kinds: tuple[type, ...]) -> str:
    # The command line reads a flag's help from the class's list of attributes.
    lines: dict[str, str] = {}
    for kind in kinds:
        described = (kind.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        lines |= {
            line.split(":")[0].strip(): line for line in _whole(described) if line.split(":")[0].strip() not in lines
        }
    return "When something is an event.\n\nAttributes:\n" + "\n".join(lines.values())


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
    DecisionFlags = _all_optional(KINDS)


def given(flags: Any) -> dict[str, Any]:
    """The settings that were given on the command line."""
    return {name: value for name, value in dataclasses.asdict(flags).items() if value is not None}


__all__ = ["DecisionFlags", "given"]
