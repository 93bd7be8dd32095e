"""Recurrent networks against transformers on live sound: the cost of a block as the stream gets longer."""

from dataclasses import dataclass, field
from os import PathLike
from time import perf_counter
from typing import Any

import numpy as np

from streamrnn.bench.machine import describe_machine
from streamrnn.bench.online_room import read_speed, too_large
from streamrnn.bench.online_systems import SYSTEMS, LiveStream, System, check_systems, system_model
from streamrnn.bench.tables import rounded
from streamrnn.bench.timing import Times, summary, taking_turns
from streamrnn.pretrained import load
from streamrnn.runtime import configure

COUNTED = "multiply-adds of matrix products and convolutions, counted in the traced program"
UNTIMED = "counted, not timed"


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    positions_s: tuple[float, ...] = (1, 10, 60, 600, 3600)
    """Seconds that a stream has heard."""
    timed_to_s: dict[str, float] = field(default_factory=dict)
    """Systems that are timed up to a position only, and counted at all."""
    rounds: int = 10
    """Turns that each system gets at each position."""
    turn_s: float = 0.05
    """Seconds of a turn."""


QUICK = Effort(timed_to_s={"transformer": 600, "transformer-recompute": 60}, rounds=5)
FULL = Effort(timed_to_s={"transformer-recompute": 60}, rounds=30, turn_s=0.1)


def compare_online(
    systems: tuple[str, ...] = SYSTEMS,
    effort: Effort = QUICK,
    model_name: str | PathLike[str] = "vad",
) -> dict[str, Any]:
    """Measures networks that differ in their core alone, at several positions of a stream. Ready for JSON.

    Each has as many parameters as the model it is made from, within 5 %, and takes one block of one stream on one core.
    A position is reached by filling the state with random numbers and setting its counters, not by running there, and a
    stream stays there while it is timed. A transformer's cache has room for the next power of two of frames, as
    doubling makes it. All systems at all positions take turns in one run, so ratios hold on a busy machine too;
    absolute figures need an idle one. It calls streamrnn.configure(): call it before JAX is used.

    Args:
        systems: names of SYSTEMS.
        effort: how much is measured: QUICK, FULL, or another.
        model_name: the voice activity model in whose network the cores take turns; a shipped one's name, or a path.

    Returns:
        machine, model, deadline_ms, counted (what multiply-adds are);
        rows, one per system and position: system, position_s, frames, room_frames (None where it does not depend on the
            position), state_bytes, multiply_adds, read_us (what it takes one core to read so many bytes from memory
            once, which whoever attends to all of them must do; None on accelerators) and note; where it was timed, also
            p50_us and p99_us of all blocks, p10_us and p90_us of the rounds' medians, first_block_ms (a new stream of
            that room, the program compiled), streams_per_core (as many as a core serves in real time, one by one) and
            streams_per_gb (of 10^9 bytes, the weights not counted);
        systems, one per system: system, parameters, late_from_s (about where the median block takes longer than the
            sound in it lasts; None: nowhere), timed_to_s, and streams_per_core and streams_per_gb there.

    Raises:
        ValueError: there is no such system, or none is named.
        FileNotFoundError: there is no such model.
    """
    check_systems(systems)
    configure()
    machine, reference = describe_machine(), load(model_name)
    made = {name: System(name, system_model(name, reference)) for name in systems}
    rows, read_bytes_per_s = _measured_rows(made, effort, reference.frame_s), read_speed()
    return {
        "machine": machine,
        "model": str(model_name),
        "deadline_ms": 1000 * reference.frame_s,
        "counted": COUNTED,
        "systems": [_summary(system, rows, reference.frame_s) for system in made.values()],
        "rows": [row | _reading(row, read_bytes_per_s) for row in rows],
    }


def late_from(rows: list[dict[str, Any]], deadline_us: float) -> float | None:
    """The position in seconds at which a system's median block begins to take longer than its deadline.

    Between two positions that were timed, time is taken to grow as a power of the position.
    """
    before: dict[str, Any] | None = None
    for row in rows:
        if row["p50_us"] > deadline_us:
            return row["position_s"] if before is None else rounded(_crossing(before, row, deadline_us), 4)
        before = row
    return None


def _crossing(before: dict[str, Any], after: dict[str, Any], deadline_us: float) -> float:
    times_us, positions_s = ([np.log(row[name]) for row in (before, after)] for name in ("p50_us", "position_s"))
    return float(np.exp(np.interp(np.log(deadline_us), times_us, positions_s)))


def _measured_rows(systems: dict[str, System], effort: Effort, frame_s: float) -> list[dict[str, Any]]:
    rows, streams = [], {}
    for name, system in systems.items():
        for position_s in effort.positions_s:
            row = _counted_row(system, position_s, frame_s)
            rows.append(row)
            # Compiling takes none of a stream's memory, so what does not fit is known before.
            is_timed = position_s <= effort.timed_to_s.get(name, np.inf)
            row["note"] = too_large(system.at(row["frames"]).bytes_needed) if is_timed else UNTIMED
            if row["note"] is None:
                streams[name, position_s] = _opened(system, row)
    times = taking_turns(streams, effort.rounds, effort.turn_s)
    return [row | _times(times.get((row["system"], row["position_s"])), row, frame_s) for row in rows]


def _counted_row(system: System, position_s: float, frame_s: float) -> dict[str, Any]:
    frames = round(position_s / frame_s)
    program = system.at(frames)
    return {
        "system": system.name,
        "position_s": position_s,
        "frames": frames,
        "room_frames": program.room,
        "state_bytes": program.state_bytes,
        "multiply_adds": program.multiply_adds,
    }


def _opened(system: System, row: dict[str, Any]) -> LiveStream:
    """A stream at the row's position; its first block as a new stream goes into the row."""
    stream = LiveStream(system.at(row["frames"]), system.weights, system.inputs)
    stream.begin()
    stream()
    started = perf_counter()
    stream.begin()
    stream()
    row["first_block_ms"] = rounded(1000 * (perf_counter() - started), 4)
    stream.move_to(row["frames"])
    return stream


def _times(turns: Times | None, row: dict[str, Any], frame_s: float) -> dict[str, Any]:
    if turns is None:
        return {}
    times = summary(turns)
    return times | {
        "streams_per_core": rounded(1e6 * frame_s / times["p50_us"], 4),
        "streams_per_gb": rounded(1e9 / row["state_bytes"], 4),
    }


def _reading(row: dict[str, Any], read_bytes_per_s: float | None) -> dict[str, float | None]:
    return {"read_us": None if read_bytes_per_s is None else rounded(1e6 * row["state_bytes"] / read_bytes_per_s, 4)}


def _summary(system: System, rows: list[dict[str, Any]], frame_s: float) -> dict[str, Any]:
    timed = [row for row in rows if row["system"] == system.name and "p50_us" in row]
    last = timed[-1] if timed else {}
    return {
        "system": system.name,
        "parameters": system.parameters,
        "late_from_s": late_from(timed, 1e6 * frame_s),
        "timed_to_s": last.get("position_s"),
        "streams_per_core": last.get("streams_per_core"),
        "streams_per_gb": last.get("streams_per_gb"),
    }


__all__ = ["FULL", "QUICK", "SYSTEMS", "Effort", "check_systems", "compare_online", "late_from"]
