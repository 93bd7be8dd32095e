"""Labels where somebody speaks in clean recordings, by two judges: an energy rule and a detector.

    python scripts/label_speech.py FOLDER... --judge silero_vad.onnx --out LABELS

FOLDER has recordings as `streamrnn train` reads them. LABELS/<folder>/vad_segments.csv then has a row per segment:
path, start and end in samples of the recording, kind (speech, or unknown where the judges disagree) and quality (A:
more than 30 dB between speech and pauses; B: more than 15 dB; other recordings are left out). `streamrnn train vad
--labels LABELS` learns from them.

The energy rule hears pauses from 120 ms on, as people label them. The detector, Silero VAD's ONNX file (MIT licence, in
the package silero-vad), tells breaths and clicks from speech. Neither is right alone: the rule hears sound, the
detector is late.
"""

import argparse
import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.ndimage import binary_closing, binary_dilation, binary_opening, maximum_filter1d
from scipy.signal import butter, sosfiltfilt

from streamrnn.audio import AudioError, AudioFile
from streamrnn.data.clips import Clip
from streamrnn.data.layouts import find_folders, read_folder

RATE, CELL = 16_000, 160
WINDOW, CONTEXT = 512, 64
NOISE, SPEECH, UNKNOWN = 0, 1, 2
# The pauses that people label as silence begin at 150 to 200 ms; what is shorter than this belongs to a word.
PAUSE_CELLS = 12
BORDER_CELLS = 2


class Silero:
    """Silero VAD's probability of speech, one per 32 ms, from its ONNX file."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """float32[n] at 16 kHz -> probability per cell of 10 ms, float32[ceil(n / 160)]."""
        state, context = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)
        found = []
        for start in range(0, len(samples), WINDOW):
            window = np.pad(samples[start : start + WINDOW], (0, max(0, start + WINDOW - len(samples))))
            fed = {"input": np.concatenate([context, window])[None], "state": state, "sr": np.array(RATE, np.int64)}
            probability, state = self._session.run(None, fed)
            found.append(float(np.asarray(probability)[0, 0]))
            context = window[-CONTEXT:]
        cells = np.arange(-(-len(samples) // CELL))
        return np.array(found, np.float32)[np.minimum((cells * CELL + CELL // 2) // WINDOW, len(found) - 1)]


@dataclass(frozen=True)
class Judged:
    """Cells of 10 ms, each NOISE, SPEECH or UNKNOWN, and how far speech stands above the pauses, in dB."""

    cells: np.ndarray
    range_db: float


def judged(samples: np.ndarray, probability: np.ndarray) -> Judged:
    """What the two judges say of float32[n] at 16 kHz; probability: the detector's, per cell."""
    level_db = _level_db(samples)
    floor_db, loud_db = np.percentile(level_db, 5), np.percentile(level_db, 95)
    # What counts as sound: well above the pauses, and not so far below the words that nobody would hear it beside them.
    threshold_db = max(floor_db + 8, loud_db - 36)
    sound = _closed(level_db > threshold_db, PAUSE_CELLS)
    sound = np.asarray(binary_opening(sound, np.ones(4)), bool)
    near = maximum_filter1d(probability, 13)
    said = maximum_filter1d(probability, 21)
    cells = np.where(sound, np.where(near > 0.5, SPEECH, np.where(said < 0.1, NOISE, UNKNOWN)), NOISE)
    # Speech that is softer than the rule hears: the detector is sure, and no loud word is near.
    far = ~np.asarray(binary_dilation(sound, np.ones(2 * 20 + 1)), bool)
    cells[~sound & far & (probability > 0.3)] = UNKNOWN
    edges = np.flatnonzero(np.diff((cells == SPEECH).astype(int)))
    for edge in edges:
        cells[max(0, edge - BORDER_CELLS + 1) : edge + BORDER_CELLS + 1] = UNKNOWN
    return Judged(cells, float(loud_db - floor_db))


def _closed(cells: np.ndarray, gap: int) -> np.ndarray:
    # Padded, or gaps at the recording's ends would count as closed.
    return np.asarray(binary_closing(np.pad(cells, gap), np.ones(gap)))[gap:-gap]


def _level_db(samples: np.ndarray) -> np.ndarray:
    """Level of the band of speech in windows of 20 ms around each cell, dB."""
    band = sosfiltfilt(butter(4, [90, 6500], "bandpass", fs=RATE, output="sos"), samples)
    power = np.pad(band, (0, -len(band) % CELL)).reshape(-1, CELL) ** 2
    mean = power.mean(-1)
    return 10 * np.log10(np.convolve(np.pad(mean, 1, "edge"), [0.25, 0.5, 0.25], "valid") + 1e-10)


def _segments(cells: np.ndarray, kind: int) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.pad(cells == kind, 1).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _rows(folder: Path, detector: Silero, clip: Clip) -> list[tuple]:
    try:
        samples = clip.read(RATE)
        with AudioFile(clip.path) as file:
            scale = file.sample_rate / RATE
    except (AudioError, OSError) as error:
        print(f"left out: {error}")
        return []
    if len(samples) < RATE // 4:
        return []
    found = judged(samples, detector(samples))
    if found.range_db < 15 or not (found.cells == SPEECH).any():
        return []
    quality = "A" if found.range_db > 30 else "B"
    name = clip.path.relative_to(folder).as_posix()
    kinds = ("speech", SPEECH), ("unknown", UNKNOWN)

    def place(cell: int) -> int:
        """Of a cell's beginning, in samples of the recording."""
        return clip.start + round(min(cell * CELL, len(samples)) * scale)

    return [
        (name, place(start), place(end), kind, quality)
        for kind, number in kinds
        for start, end in _segments(found.cells, number)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--judge", type=Path, required=True, help="Silero VAD's ONNX file")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    detector = Silero(args.judge)
    for folder in find_folders(args.folders):
        with ThreadPoolExecutor(2) as pool:
            clips = read_folder(folder)
            found = pool.map(partial(_rows, folder, detector), clips)
            rows = [row for of_clip in found for row in of_clip]
        out = args.out / folder.name
        out.mkdir(parents=True, exist_ok=True)
        with (out / "vad_segments.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("path", "start", "end", "kind", "quality"), *rows])
        kept = len({row[0] for row in rows})
        print(f"{folder.name}: {len(clips)} clips, {kept} recordings labelled", flush=True)


if __name__ == "__main__":
    main()
