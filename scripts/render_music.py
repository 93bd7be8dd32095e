"""Music to train on, rendered from scores by General MIDI's instruments.

    python scripts/render_music.py SCORES OUT

SCORES has piano rolls as MATLAB files: JSB_Chorales.mat, Nottingham.mat, Piano_midi.mat, MuseData.mat of
Boulanger-Lewandowski et al. 2012 (traindata, validdata, testdata, each a row of arrays uint8[frames, 88]).
OUT/music_midi then has excerpts of 25 s at 16 kHz, mono, Ogg Opus, with manifest.csv (path, source, split). Tempo, key,
instruments, loudness and a drummer are drawn by a seed. Splits are those of the scores; of test none is rendered.

Needs fluidsynth, a General MIDI sound font (Debian: fluid-soundfont-gm, MIT licence), ffmpeg and the package mido.
"""

import argparse
import csv
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import mido
import numpy as np
from scipy.io import loadmat

SCORES = ("JSB_Chorales", "Nottingham", "Piano_midi", "MuseData")
PARTS = {"train": "traindata", "valid": "validdata"}
FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
LOWEST_KEY, KEYS = 21, 88
EXCERPT_S, SEED, TICKS = 25.0, 0, 120
# Programs of General MIDI that play melodies: pianos to brass, reeds, pipes, synthesizers, strings of the world.
PROGRAMS = range(112)
BASSES = range(32, 40)
DRUMS, BASS_DRUM, SNARE, HATS = 9, 36, (38, 40), (42, 46, 51)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--pieces", type=int, default=120, help="of each collection's training part; an eighth of valid"
    )
    parser.add_argument("--font", type=Path, default=FONT)
    args = parser.parse_args()
    jobs = []
    for name in SCORES:
        table = loadmat(args.scores / f"{name}.mat")
        for split, part in PARTS.items():
            rolls = table[part][0]
            most = args.pieces if split == "train" else -(-args.pieces // 8)
            jobs += [
                (name, split, i, rolls[i]) for i in np.linspace(0, len(rolls) - 1, min(most, len(rolls)), dtype=int)
            ]
    (args.out / "music_midi").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(partial(render, args.out / "music_midi", args.font), jobs))
    with (args.out / "music_midi" / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "source", "split"), *rows])


def render(out: Path, font: Path, job: tuple[str, str, int, np.ndarray]) -> tuple[str, str, str]:
    name, split, number, roll = job
    path = f"{name}_{split}_{number:04d}.opus"
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "score.mid", Path(folder) / "sound.wav"
        arranged(roll, np.random.default_rng([SEED, SCORES.index(name), number, split == "valid"])).save(score)
        played = [
            "fluidsynth",
            "-niq",
            "-g",
            "0.6",
            "-r",
            "32000",
            "-T",
            "wav",
            "-F",
            str(sound),
            str(font),
            str(score),
        ]
        subprocess.run(played, check=True, capture_output=True)
        command = ["ffmpeg", "-v", "error", "-y", "-t", str(EXCERPT_S), "-i", str(sound), "-ac", "1", "-ar", "16000"]
        subprocess.run([*command, "-c:a", "libopus", "-b:a", "40k", str(out / path)], check=True)
    return path, f"{name}_{number}", split


def arranged(roll: np.ndarray, rng: np.random.Generator) -> mido.MidiFile:
    """uint8[frames, 88] -> EXCERPT_S seconds of it, from anywhere, for a band."""
    frames_per_s = rng.uniform(3.0, 8.0)
    frames = int(EXCERPT_S * frames_per_s)
    start = int(rng.integers(0, max(1, len(roll) - frames)))
    held = np.pad(roll[start : start + frames], ((1, 1), (0, 0))).astype(np.int8)
    shift, border = int(rng.integers(-5, 6)), int(rng.integers(25, 45))
    low, high = rng.choice(BASSES if rng.random() < 0.4 else PROGRAMS), rng.choice(PROGRAMS)
    loudness = rng.integers(60, 115, 2)
    events = [(0.0, mido.Message("program_change", channel=c, program=int(p))) for c, p in enumerate((low, high))]
    for frame, changes in enumerate(np.diff(held, axis=0)):
        for key in np.flatnonzero(changes):
            channel = int(key >= border)
            note = int(np.clip(key + LOWEST_KEY + shift, 0, 127))
            velocity = int(np.clip(loudness[channel] + rng.normal(0, 8), 1, 127)) if changes[key] > 0 else 0
            events.append((frame, mido.Message("note_on", channel=channel, note=note, velocity=velocity)))
    if rng.random() < 0.4:
        events += drummed(frames, rng)
    return written(sorted(events, key=lambda event: event[0]), frames_per_s)


def drummed(frames: int, rng: np.random.Generator) -> list[tuple[float, mido.Message]]:
    """A pattern of two bars, again and again."""
    bar = np.zeros((16, 128), bool)
    bar[:: int(rng.choice([4, 8])), BASS_DRUM] = True
    bar[4::8, int(rng.choice(SNARE))] = True
    bar[:: int(rng.choice([1, 2])), int(rng.choice(HATS))] = True
    bar[rng.integers(0, 16, 2), BASS_DRUM] = True
    velocity = int(rng.integers(50, 110))
    return [
        (frame + 0.5 * half, mido.Message("note_on", channel=DRUMS, note=int(note), velocity=velocity))
        for frame in range(frames)
        for half in range(2)
        for note in np.flatnonzero(bar[(2 * frame + half) % 16])
    ]


def written(events: list[tuple[float, mido.Message]], frames_per_s: float) -> mido.MidiFile:
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(1e6 / frames_per_s))])
    before = 0
    for frame, message in events:
        now = round(frame * TICKS)
        track.append(message.copy(time=now - before))
        before = now
    return mido.MidiFile(ticks_per_beat=TICKS, tracks=[track])


if __name__ == "__main__":
    main()
