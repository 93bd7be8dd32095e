"""`streamrnn models`: what comes with the package."""

import json
import textwrap
from dataclasses import dataclass
from typing import Annotated, Any

import jax
from flax import nnx
from tyro.conf import Positional

from streamrnn.cli.flags import default_is, parse
from streamrnn.pretrained import describe, load, locate, shipped
from streamrnn.signals import Sound
from streamrnn.suggestions import did_you_mean
from streamrnn.tasks import find_task


@dataclass(frozen=True)
class Models:
    """Lists the models that come with streamrnn, or describes one."""

    name: Annotated[Positional[str | None], default_is("all of them")] = None
    """The model to describe."""
    json: bool = False
    """Print JSON: a list with one object per model, or one object."""


def main(args: list[str]) -> None:
    """Runs `streamrnn models`. Raises ValueError for a name that is not shipped."""
    flags = parse(Models, "models", args)
    if flags.name is not None and flags.name not in shipped():
        meant = did_you_mean(flags.name, shipped())
        raise ValueError(f"There is no model {flags.name!r}.{meant} Shipped are: {', '.join(shipped())}.")
    rows = [describe_shipped(name) for name in ([flags.name] if flags.name else shipped())]
    if flags.json:
        print(json.dumps(rows[0] if flags.name else rows, indent=2))
    elif flags.name:
        print("\n".join(_all_of(rows[0])))
    else:
        print("\n".join(_lines(rows)))


def describe_shipped(name: str) -> dict[str, Any]:
    """What a shipped model is and how well it does, ready for JSON."""
    model, card = load(name), describe(locate(name))
    task = find_task(str(card.get("task")))
    return {
        "name": name,
        "task": card.get("task"),
        "gives": task.gives if task is not None else None,
        "model": card["model"],
        "labels": [label for label in model.outlet().labels if label],
        "megabytes": round(locate(name).stat().st_size / 1e6, 2),
        "sample_rate": model.signal.sample_rate if isinstance(model.signal, Sound) else None,
        "frames_per_s": 1 / model.signal.duration_s(1),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))),
        "algorithmic_latency_ms": model.algorithmic_latency_ms,
        "frames_per_item": model.frames_per_item,
        "figures": card.get("figures", {}),
    }


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    """A line per model, within 80 columns where names allow it."""
    heads = ("name", "task", "size", "latency", "gives")
    table: list[tuple[str, ...]] = [heads]
    for row in rows:
        gives = row["gives"] or ""
        if row["labels"] and row["gives"] == "events":
            gives += ": " + textwrap.shorten(", ".join(row["labels"]), 26, placeholder=" ...")
        table.append((row["name"], row["task"], f"{row['megabytes']:.1f} MB", _latency(row), gives))
    widths = [max(len(line[column]) for line in table) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return [*lines, "", "streamrnn models NAME prints the rest: parameters, figures, card."]


def _all_of(row: dict[str, Any]) -> list[str]:
    card = locate(row["name"]).with_suffix(".md")
    return [
        f"{row['name']}: {row['task']}, a {row['model']} that gives {row['gives']}",
        f"  rate        {_rate(row)}",
        f"  parameters  {row['parameters']:,}, {row['megabytes']:.1f} MB",
        f"  latency     {_latency(row)}{_counted(row)}",
        *(f"  labels      {line}" for line in textwrap.wrap(", ".join(row["labels"]), 66)[:8]),
        *(f"  {line}" for line in _figures(row["figures"])),
        f"  card        {card}",
    ]


def _rate(row: dict[str, Any]) -> str:
    if row["sample_rate"] is None:
        return "item by item, as they come"
    return f"{row['sample_rate'] / 1000:g} kHz; others are resampled"


def _latency(row: dict[str, Any]) -> str:
    """In items where nothing says how fast they come: the item itself, and later ones."""
    if row["sample_rate"] is None:
        items = _items(row)
        return f"{items} item{'s' * (items != 1)}"
    return f"{row['algorithmic_latency_ms']:.0f} ms"


def _counted(row: dict[str, Any]) -> str:
    """What the items of a latency are, where they are several."""
    if row["sample_rate"] is not None or _items(row) == 1:
        return ""
    return f": the one that is answered, and {_items(row) - 1} later"


def _items(row: dict[str, Any]) -> int:
    frames = round(row["algorithmic_latency_ms"] * row["frames_per_s"] / 1000)
    return -(-frames // row["frames_per_item"])


def _figures(figures: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines += _figures(value, f"{prefix}{name} ")
        else:
            lines.append(f"{prefix}{name} {value:.4g}" if isinstance(value, float) else f"{prefix}{name} {value}")
    return lines


__all__ = ["Models", "describe_shipped", "main"]
