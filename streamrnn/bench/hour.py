"""An hour of sound, from a file and live: effects that only show in the long run."""

import tempfile
from pathlib import Path
from time import perf_counter

import soundfile

from streamrnn.bench.machine import resident_mb
from streamrnn.bench.sounds import chunks, write_recording
from streamrnn.models import Model
from streamrnn.runtime import Stream, run_file

HOUR_S = 3600


def hour_factor(model: Model) -> float:
    """The real-time factor of run_file on a recording of an hour."""
    with tempfile.TemporaryDirectory() as folder:
        return real_time_factor(model, write_recording(Path(folder) / "hour.wav", model.sample_rate, HOUR_S))


def real_time_factor(model: Model, path: Path) -> float:
    """Compute time over duration of run_file on a recording; from the second of two runs, so without compilation."""
    run_file(model, path)
    started = perf_counter()
    run_file(model, path)
    return (perf_counter() - started) / soundfile.info(path).duration


def memory_growth_mb(model: Model, duration_s: float = HOUR_S) -> float | None:
    """Growth of the process's memory while one stream processes `duration_s` of sound; None if it cannot be measured.

    The first tenth is warm-up: memory pools and the stream's ledger of times fill up once and stay.
    """
    stream, live = Stream(model), chunks(model)
    blocks = round(duration_s / model.frame_s)
    for _ in range(blocks // 10):
        stream.process(next(live))
    before = resident_mb()
    for _ in range(blocks - blocks // 10):
        stream.process(next(live))
    after = resident_mb()
    return None if before is None or after is None else after - before


__all__ = ["HOUR_S", "hour_factor", "memory_growth_mb", "real_time_factor"]
