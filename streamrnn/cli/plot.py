"""Pictures: a run on one time axis, sound before and after, and a pool's latency against its streams."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.decisions import Event, segments

SUFFIXES = (".png", ".svg", ".pdf")
COLUMNS = 1400  # about the pixels that a panel of the picture is wide
WINDOW_S = 0.025
HOP_S = 0.005
MELS = 96
DECIDED_AT = -0.06  # below the probabilities
RANGE_DB = 60.0
LABEL_SHARE = 0.08  # of the width of the picture, which the times of a segment take

BACKGROUND, PANEL, GRID = "#0d1117", "#11161f", "#2a3140"
TEXT, FAINT = "#e6edf3", "#8b949e"
WAVE, SPEECH, PROBABILITY, DECIDED = "#79c0ff", "#3fb950", "#ffa657", "#f0f6fc"
DASHES = (0, (4, 4))
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "figure.facecolor": BACKGROUND,
    "savefig.facecolor": BACKGROUND,
    "axes.facecolor": PANEL,
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": TEXT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
}


@dataclass(frozen=True, eq=False)
class Picture:
    """What is drawn.

    Attributes:
        title: the headline.
        samples: float32[n], mono.
        sample_rate: Hz.
        probabilities: float32[frames], one per `frame_s` seconds.
        frame_s: seconds per probability.
        events: of the whole run, finished.
        thresholds: name -> probability, drawn as lines.
    """

    title: str
    samples: np.ndarray
    sample_rate: int
    probabilities: np.ndarray
    frame_s: float
    events: list[Event]
    thresholds: dict[str, float]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, eq=False)
class Enhancement:
    """Sound as it was and as a model made it.

    Attributes:
        title: the headline.
        before, after: float32[n], mono, aligned.
        sample_rate: Hz.
    """

    title: str
    before: np.ndarray
    after: np.ndarray
    sample_rate: int

    @property
    def duration_s(self) -> float:
        return len(self.before) / self.sample_rate


def check_plot(path: Path) -> None:
    """Raises ImportError without matplotlib, and ValueError for a suffix that names no picture."""
    if find_spec("matplotlib") is None:
        raise ImportError('drawing a picture needs the package matplotlib: pip install "streamrnn[plot]"')
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--plot got {path}; its suffix names the format. End it in {', '.join(SUFFIXES)}.")


def draw(picture: Picture, path: Path) -> None:
    """Writes the picture, 1600 pixels wide, in the format of the path's suffix."""
    _draw(path, picture, (_waveform, _spectrum, _probability), [1.1, 1.6, 1.3])


def draw_enhancement(picture: Enhancement, path: Path) -> None:
    """Writes the picture, 1600 pixels wide, in the format of the path's suffix."""
    _draw(path, picture, (_before, _after), [1, 1])


def draw_latency(pools: Sequence[dict[str, Any]], chunk_ms: float, path: Path) -> None:
    """Writes the picture of a pool's ticks against its streams, 1600 pixels wide, in the format of the path's suffix.

    Args:
        pools: what streamrnn.bench.pool.bench_pool measured: streams, tick_p50_ms and tick_p99_ms of each.
        chunk_ms: the time that there is for a tick.
    """
    _draw_against_streams(pools, "tick", "milliseconds per tick", (chunk_ms, "real time"), path)


def draw_server_latency(loads: Sequence[dict[str, Any]], target_ms: float, path: Path) -> None:
    """Writes the picture of the latency of a server's events against its streams, like draw_latency.

    Args:
        loads: what streamrnn.bench.serve.bench_serve measured: streams, latency_p50_ms and latency_p99_ms of each.
        target_ms: the most that is wanted.
    """
    _draw_against_streams(loads, "latency", "milliseconds from sound to event", (target_ms, "target"), path)


def draw_panels(path: Path, *contents: Callable[[Any], None]) -> Path:
    """Writes a picture of panels side by side, which `contents` fill, 1600 pixels wide in all, in the format of the
    path's suffix. Returns the path."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(16, 8.2), dpi=100, layout="constrained")
        for panel, content in zip(figure.subplots(1, len(contents), squeeze=False)[0], contents, strict=True):
            content(panel)
        figure.savefig(path)
    return path


def _draw_against_streams(
    rows: Sequence[dict[str, Any]], measured: str, unit: str, limit: tuple[float, str], path: Path
) -> None:
    streams = [row["streams"] for row in rows]

    def content(panel: Any) -> None:
        for quantile, colour in (("p99", PROBABILITY), ("p50", WAVE)):
            panel.plot(streams, [row[f"{measured}_{quantile}_ms"] for row in rows], "o-", color=colour, label=quantile)
        limit_line(panel, limit[1], limit[0])
        panel.set_xlabel("streams")
        panel.set_ylabel(unit)
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
        panel.legend(frameon=False)

    draw_panels(path, content)


def _draw(path: Path, picture: Any, contents: Sequence[Callable[[Any, Any], None]], heights: Sequence[float]) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(16, 8.2), dpi=100, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.15, h_pad=0.08, hspace=0.02)  # pyright: ignore[reportCallIssue, reportOptionalMemberAccess]
        panels = figure.subplots(len(contents), 1, sharex=True, height_ratios=heights)
        figure.suptitle(as_written(picture.title), x=0.012, ha="left", fontsize=15, fontweight="bold")
        for panel, content in zip(panels, contents, strict=True):
            content(panel, picture)
            panel.tick_params(length=0)
        figure.align_ylabels(panels)
        panels[-1].set_xlabel("seconds")
        panels[-1].set_xlim(0, max(picture.duration_s, HOP_S))
        figure.savefig(path)


def _waveform(panel: Any, picture: Picture) -> None:
    times_s, low, high = envelope(picture.samples, picture.sample_rate)
    _spans(panel, picture)
    panel.fill_between(times_s, low, high, color=WAVE, linewidth=0.6, step="mid")
    limit = 1.1 * max(float(np.abs(picture.samples).max(initial=0)), 1e-3)
    panel.set_ylim(-limit, limit)
    panel.set_ylabel("waveform")
    panel.set_yticks([])
    for segment in segments(picture.events):
        middle_s = (segment.start_s + segment.end_s) / 2
        if segment.label != "speech":
            _above(panel, segment.label, middle_s)
        elif segment.end_s - segment.start_s > LABEL_SHARE * picture.duration_s:
            _above(panel, f"{segment.start_s:.2f} to {segment.end_s:.2f} s", middle_s)


def _above(panel: Any, label: str, time_s: float) -> None:
    panel.annotate(
        as_written(label), (time_s, 1.03), xycoords=("data", "axes fraction"), ha="center", fontsize=9.5, color=SPEECH
    )


def _spectrum(panel: Any, picture: Picture) -> None:
    spectrum_db, edges_hz = log_mel(picture.samples, picture.sample_rate)
    _show(panel, spectrum_db, edges_hz, picture.duration_s, float(spectrum_db.max(initial=-RANGE_DB)))
    _edges(panel, picture)
    panel.set_ylabel("log-mel, kHz")


def _before(panel: Any, picture: Enhancement) -> None:
    spectrum_db, edges_hz = log_mel(picture.before, picture.sample_rate)
    _show(panel, spectrum_db, edges_hz, picture.duration_s, float(spectrum_db.max(initial=-RANGE_DB)))
    panel.set_ylabel("before, kHz")


def _after(panel: Any, picture: Enhancement) -> None:
    # The colours of before: what is taken away must not come back by another scale.
    peak_db = float(log_mel(picture.before, picture.sample_rate)[0].max(initial=-RANGE_DB))
    spectrum_db, edges_hz = log_mel(picture.after, picture.sample_rate)
    _show(panel, spectrum_db, edges_hz, picture.duration_s, peak_db)
    panel.set_ylabel("after, kHz")


def _show(panel: Any, spectrum_db: np.ndarray, edges_hz: np.ndarray, duration_s: float, peak_db: float) -> None:
    extent = (0.0, max(duration_s, HOP_S), -0.5, MELS - 0.5)
    look = {"cmap": "magma", "vmin": peak_db - RANGE_DB, "vmax": peak_db, "interpolation": "bilinear"}
    panel.imshow(spectrum_db.T, origin="lower", aspect="auto", extent=extent, **look)
    marks_hz = [hz for hz in (250, 500, 1000, 2000, 4000, 8000, 16000) if hz < edges_hz[-1]]
    panel.set_yticks(np.interp(marks_hz, edges_hz[1:-1], np.arange(MELS)), [f"{hz / 1000:g}" for hz in marks_hz])


def _probability(panel: Any, picture: Picture) -> None:
    times_s = (np.arange(len(picture.probabilities)) + 0.5) * picture.frame_s
    _spans(panel, picture)
    panel.fill_between(times_s, picture.probabilities, color=PROBABILITY, alpha=0.18, linewidth=0)
    panel.plot(times_s, picture.probabilities, color=PROBABILITY, linewidth=1.6)
    for name, threshold in picture.thresholds.items():
        limit_line(panel, f"{name} {threshold:.2f}", threshold)
    _decisions(panel, picture)
    panel.set_ylim(2 * DECIDED_AT, 1.05)
    panel.set_yticks([0, 0.5, 1])
    panel.set_ylabel("probability")


def _decisions(panel: Any, picture: Picture) -> None:
    """Marks at the moments when a live listener knew."""
    decided_s = [event.decided_s for event in picture.events]
    panel.plot(decided_s, np.full(len(decided_s), DECIDED_AT), "^", color=DECIDED, markersize=6, clip_on=False)
    _beside(panel, "decided", DECIDED_AT)


def as_written(text: str) -> str:
    """A name or a label for a picture: without it, what stands between two signs of dollar is read as a formula."""
    return text.replace("$", r"\$")


def limit_line(panel: Any, label: str, height: float) -> None:
    """A line at a height, with its name beside the panel."""
    panel.axhline(height, color=FAINT, linewidth=1, linestyle=DASHES)
    _beside(panel, label, height)


def _beside(panel: Any, label: str, height: float) -> None:
    panel.annotate(label, (1.004, height), xycoords=("axes fraction", "data"), va="center", color=FAINT, fontsize=9.5)


def _spans(panel: Any, picture: Picture) -> None:
    for segment in segments(picture.events):
        panel.axvspan(segment.start_s, segment.end_s, color=SPEECH, alpha=0.16, linewidth=0)
    _edges(panel, picture)


def _edges(panel: Any, picture: Picture) -> None:
    for segment in segments(picture.events):
        for edge_s in (segment.start_s, segment.end_s):
            panel.axvline(edge_s, color=SPEECH, alpha=0.7, linewidth=1)


def envelope(samples: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest of samples[n] in each of at most COLUMNS stretches: (their centres in s, low, high)."""
    stretches = np.array_split(samples, min(len(samples), COLUMNS)) if len(samples) else []
    ends = np.cumsum([len(stretch) for stretch in stretches])
    centres = np.array([(end - len(stretch) / 2) / sample_rate for end, stretch in zip(ends, stretches, strict=True)])
    return centres, np.array([s.min() for s in stretches]), np.array([s.max() for s in stretches])


def log_mel(samples: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Mel spectrum of samples[n] for the eye: (decibels[columns, MELS], edges of the mel bands in Hz, [MELS + 2]).

    One column per 5 ms, and in long recordings so many as the picture has pixels. Drawn with NumPy alone, at any sample
    rate: the models' own features come from streamrnn.features, which would have to be compiled for this length.
    """
    window = max(1, round(WINDOW_S * sample_rate))
    columns = min(COLUMNS, max(1, round(len(samples) / (HOP_S * sample_rate))))
    centres = ((np.arange(columns) + 0.5) * len(samples) / columns).astype(int)
    padded = np.pad(samples, window // 2 + 1)
    segments_of_sound = padded[centres[:, None] + np.arange(window)] * np.hanning(window)
    n_fft = 2 ** int(np.ceil(np.log2(4 * window)))
    power = np.abs(np.fft.rfft(segments_of_sound, n_fft)) ** 2
    edges_hz = _mel_edges_hz(sample_rate / 2)
    filters = _triangles(edges_hz, np.linspace(0, sample_rate / 2, power.shape[1]))
    return 10 * np.log10(power @ filters + 1e-9), edges_hz


def _mel_edges_hz(f_max_hz: float) -> np.ndarray:
    # O'Shaughnessy, "Speech Communication", 1987: mel = 2595 log10(1 + f / 700).
    return 700 * (10 ** np.linspace(0, np.log10(1 + f_max_hz / 700), MELS + 2) - 1)


def _triangles(edges_hz: np.ndarray, bins_hz: np.ndarray) -> np.ndarray:
    """Triangular filters [bins, MELS], each with its peak of 1 between its neighbours' peaks."""
    return np.stack([np.interp(bins_hz, edges_hz[i : i + 3], [0, 1, 0]) for i in range(MELS)], axis=1)


__all__ = [
    "Enhancement",
    "Picture",
    "as_written",
    "check_plot",
    "draw",
    "draw_enhancement",
    "draw_latency",
    "draw_panels",
    "draw_server_latency",
    "envelope",
    "limit_line",
    "log_mel",
]
