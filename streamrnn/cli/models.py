"""`streamrnn models`: what comes with the package."""

import json
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx
from rich.console import Console
from rich.table import Table

from streamrnn.cli.flags import parse
from streamrnn.pretrained import describe, load, locate, shipped


@dataclass(frozen=True)
class Models:
    """Lists the models that come with streamrnn."""

    json: bool = False
    """Print JSON, a list with one object per model."""


def main(args: list[str]) -> None:
    """Runs `streamrnn models`."""
    flags = parse(Models, "models", args)
    rows = [describe_shipped(name) for name in shipped()]
    if flags.json:
        print(json.dumps(rows, indent=2))
    else:
        Console().print(_table(rows))


def describe_shipped(name: str) -> dict[str, Any]:
    """What a shipped model is and how well it does, ready for JSON."""
    model, card = load(name), describe(locate(name))
    return {
        "name": name,
        "task": card.get("task"),
        "model": card["model"],
        "sample_rate": model.sample_rate,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))),
        "algorithmic_latency_ms": model.algorithmic_latency_ms,
        "figures": card.get("figures", {}),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table()
    for column in ("name", "task"):
        table.add_column(column)
    for column in ("rate", "parameters", "latency"):
        table.add_column(column, justify="right")
    table.add_column("figures")
    for row in rows:
        table.add_row(
            row["name"],
            row["task"],
            f"{row['sample_rate'] / 1000:g} kHz",
            f"{row['parameters']:,}",
            f"{row['algorithmic_latency_ms']:.0f} ms",
            "\n".join(_figures(row["figures"])),
        )
    return table


def _figures(figures: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines += _figures(value, f"{prefix}{name} ")
        else:
            lines.append(f"{prefix}{name} {value:.4g}" if isinstance(value, float) else f"{prefix}{name} {value}")
    return lines


__all__ = ["Models", "describe_shipped", "main"]
