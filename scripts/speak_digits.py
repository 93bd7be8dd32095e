"""Writes spoken strings of digits by synthetic voices, for training. Needs the programs espeak-ng, flite and festival.

    scripts/install_debian.sh espeak-ng flite festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k
    python scripts/speak_digits.py OUT

Recorded words put side by side lack what happens where words touch; these voices say whole strings. Half of the strings
are grouped as telephone numbers are. Single words come on top, for training to join with those of real voices. OUT gets
one FLAC per string or word (16 kHz) and a manifest.csv in which all are of the split train: synthetic voices show a
model how words run together, and never how good it is.
"""

import argparse
import csv
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from streamrnn.audio import read_audio, write_audio

SAMPLE_RATE = 16_000
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# English digits as a Hindi voice says them: with sounds of Indian English.
HINDI_WORDS = ("ज़ीरो", "वन", "टू", "थ्री", "फोर", "फाइव", "सिक्स", "सेवन", "एट", "नाइन")

ESPEAK_ACCENTS = ["us", "gb", "gb-scotland", "gb-x-rp", "gb-x-gbclan", "gb-x-gbcwmd", "029", "us-nyc"]
# Those of espeak-ng's variants that sound like people: no robots, whispers or croaks.
ESPEAK_VARIANTS = [
    *(f"m{number}" for number in range(1, 9)),
    *(f"f{number}" for number in range(1, 6)),
    *("klatt", "klatt2", "klatt3", "klatt4", "steph", "steph2", "steph3", "Annie", "Andy", "Alex", "Alicia", "Andrea"),
    *("Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike"),
    *("Nguyen", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward"),
    *("edward2", "grandma", "grandpa", "gustave", "iven", "iven2", "iven3", "iven4", "john", "kaukovalta", "linda"),
    *("marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro"),
    *("shelby", "travis", "victor", "zac"),
]
FLITE_PITCHES_HZ = {"awb": (90, 150), "rms": (75, 130), "slt": (140, 230), "kal": (80, 140)}
FESTIVAL_VOICES = ["cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone"]
PROGRAM_SHARES = {"espeak": 0.35, "hindi": 0.2, "flite": 0.35, "festival": 0.1}


def speak(number: int, out: Path, seed: int, *, alone: bool) -> dict[str, object]:
    """Writes string or word `number`, which depends on it and the seed alone; returns its row of the manifest."""
    rng = np.random.default_rng([seed, number])
    groups = [[int(rng.integers(0, 10))]] if alone else draw_groups(rng)
    program = str(rng.choice(list(PROGRAM_SHARES), p=list(PROGRAM_SHARES.values())))
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        speaker = PROGRAMS[program](rng, groups, spoken)
        if not spoken.exists():
            # festival's text2wave ends with status 0 where it has no such voice.
            raise SystemExit(
                f"{program} wrote nothing with {speaker}. Install its voices; see the beginning of this script."
            )
        samples, _ = read_audio(spoken, SAMPLE_RATE)
    path = f"{number:05}.flac"
    write_audio(out / path, samples * np.float32(0.5 / max(np.abs(samples).max(), 1e-3)), SAMPLE_RATE)
    transcript = " ".join(WORDS[digit] for group in groups for digit in group)
    return {"path": path, "speaker": f"{program}_{speaker}", "transcript": transcript, "split": "train"}


def draw_groups(rng: np.random.Generator) -> list[list[int]]:
    """Digits as they are said: telephone numbers as 3-3-4, other strings of 1 to 12 in groups of 1 to 5."""
    if rng.random() < 0.5:
        lengths = [3, 3, 4]
    else:
        lengths, left = [], int(rng.integers(1, 13))
        while left:
            lengths.append(min(left, int(rng.integers(1, 6))))
            left -= lengths[-1]
    return [rng.integers(0, 10, length).tolist() for length in lengths]


def espeak(rng: np.random.Generator, groups: list[list[int]], path: Path) -> str:
    return run_espeak(rng, f"en-{rng.choice(ESPEAK_ACCENTS)}", text(rng, groups, WORDS), path)


def hindi(rng: np.random.Generator, groups: list[list[int]], path: Path) -> str:
    return run_espeak(rng, "hi", text(rng, groups, HINDI_WORDS), path)


def run_espeak(rng: np.random.Generator, accent: str, said: str, path: Path) -> str:
    variant = str(rng.choice(ESPEAK_VARIANTS))
    rate, pitch = str(int(rng.integers(110, 230))), str(int(rng.integers(20, 80)))
    run(["espeak-ng", "-v", f"{accent}+{variant}", "-s", rate, "-p", pitch, "-w", str(path), said])
    return variant


def flite(rng: np.random.Generator, groups: list[list[int]], path: Path) -> str:
    voice = str(rng.choice(list(FLITE_PITCHES_HZ)))
    pitch_hz, stretch = rng.uniform(*FLITE_PITCHES_HZ[voice]), rng.uniform(0.75, 1.4)
    settings = ["--setf", f"duration_stretch={stretch:.2f}", "--setf", f"int_f0_target_mean={pitch_hz:.0f}"]
    run(["flite", "-voice", voice, *settings, "-t", text(rng, groups, WORDS), "-o", str(path)])
    return voice


def festival(rng: np.random.Generator, groups: list[list[int]], path: Path) -> str:
    voice = str(rng.choice(FESTIVAL_VOICES))
    stretch = f"(Parameter.set 'Duration_Stretch {rng.uniform(0.75, 1.4):.2f})"
    said = text(rng, groups, WORDS).encode()
    run(["text2wave", "-eval", f"(voice_{voice})", "-eval", stretch, "-o", str(path)], said)
    return voice


def text(rng: np.random.Generator, groups: list[list[int]], words: tuple[str, ...]) -> str:
    separator = str(rng.choice([", ", " "], p=[0.7, 0.3]))
    return separator.join(" ".join(words[digit] for digit in group) for group in groups)


def run(command: list[str], said: bytes = b"") -> None:
    subprocess.run(command, input=said, check=True, capture_output=True)


PROGRAMS = {"espeak": espeak, "hindi": hindi, "flite": flite, "festival": festival}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--strings", type=int, default=3000)
    parser.add_argument("--words", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    # The work is done by other programs; threads only wait for them.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(
            pool.map(
                lambda number: speak(number, options.out, options.seed, alone=number >= options.strings),
                range(options.strings + options.words),
            )
        )
    with (options.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
