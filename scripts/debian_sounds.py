"""Noise and music from Debian's packages of games and desktops, as folders to train on.

    python scripts/debian_sounds.py OUT --judge silero_vad.onnx

downloads the packages in PACKAGES with apt-get, and writes OUT/noise_debian and OUT/music_debian: excerpts of at most
25 s at 16 kHz, mono, Ogg Opus, with manifest.csv (path, source, split). Whole packages are held out for validation.
Sounds in which somebody speaks are left out: by their names, and where the judge (see label_speech.py) hears speech for
0.5 s or more.
Each package's licence is in its own usr/share/doc/<package>/copyright, which is copied beside the sounds; most are GPL
or CC BY-SA. Needs Debian, ffmpeg, dpkg-deb and unzip. It takes some half an hour and 4 GB.
"""

import argparse
import csv
import re
import subprocess
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from label_speech import CELL, RATE, Silero

from streamrnn.audio import AudioError, read_audio

PACKAGES = (
    "adonthell-data",
    "alienblaster-data",
    "amphetamine-data",
    "ardentryst",
    "asc-music",
    "atanks-data",
    "baresip-core",
    "biniax2-data",
    "blobwars-data",
    "blockout2",
    "boswars-data",
    "brainparty-data",
    "btanks-data",
    "bucklespring-data",
    "bzflag-data",
    "caveexpress-data",
    "ceferino-data",
    "chromium-bsu-data",
    "colobot-common-sounds",
    "csmash-data",
    "davegnukem-data",
    "deepin-sound-theme",
    "drascula-music",
    "dustracing2d-data",
    "eiskaltdcpp-sounds",
    "endless-sky-data",
    "enigma-data",
    "epiphany-data",
    "etw-data",
    "excellent-bifurcation",
    "extremetuxracer-data",
    "fb-music-high",
    "fillets-ng-data",
    "flare-game",
    "foobillardplus-data",
    "freecol",
    "freedink-data",
    "freedroid-data",
    "freegish-data",
    "freeorion-data",
    "fretsonfire-songs-muldjord",
    "frozen-bubble-data",
    "gajim",
    "garden-of-coloured-lights-data",
    "gl-117-data",
    "gnome-audio",
    "gunroar-data",
    "hannah-data",
    "heroes-sound-effects",
    "heroes-sound-tracks",
    "holotz-castle-data",
    "hydrogen-drumkits",
    "hydrogen-drumkits-effects",
    "jami-daemon",
    "krank",
    "lbreakout2-data",
    "lgeneral-data",
    "lmms-common",
    "lugaru-data",
    "madbomber-data",
    "mazeofgalious-data",
    "meritous-data",
    "micropolis-data",
    "minetest-mod-mesecons",
    "mirrormagic-data",
    "mu-cade-data",
    "naev-data",
    "netpanzer-data",
    "neverball-common",
    "neverball-data",
    "nexuiz-music",
    "njam-data",
    "noiz2sa-data",
    "open-invaders-data",
    "openarena-data",
    "opencity-data",
    "openclonk-data",
    "openttd-opensfx",
    "overgod-data",
    "oxygen-sounds",
    "parsec47-data",
    "pathological",
    "pekka-kana-2-data",
    "pinball-data",
    "pingus-data",
    "planetblupi-common",
    "planetblupi-music-ogg",
    "plasma-workspace-data",
    "plee-the-bear-data",
    "powermanga-data",
    "psi-plus-sounds",
    "pushover-data",
    "ri-li-data",
    "rockdodger",
    "rrootage-data",
    "scorched3d-data",
    "sdl-ball-data",
    "searchandrescue-data",
    "solarwolf",
    "sound-theme-freedesktop",
    "spring-common",
    "starfighter-data",
    "starvoyager-data",
    "supertransball2-data",
    "supertux-data",
    "tecnoballz-data",
    "teeworlds-data",
    "titanion-data",
    "tomatoes-data",
    "torus-trooper-data",
    "trackballs-data",
    "triplea",
    "tumiki-fighters-data",
    "tuxmath-data",
    "tuxpaint-stamps-default",
    "tuxtype-data",
    "ufoai-music",
    "ukui-media",
    "val-and-rick-data",
    "warmux-data",
    "warzone2100-data",
    "warzone2100-music",
    "wesnoth-1.16-data",
    "wesnoth-1.16-music",
    "wizznic-data",
    "wordwarvi-sound",
    "workrave-data",
    "xmoto-data",
    "yaru-theme-sound",
)
HELD_OUT = {"pushover-data", "nexuiz-music", "lugaru-data", "frozen-bubble-data", "fb-music-high", "endless-sky-data"}
SOUND = re.compile(r"\.(wav|ogg|oga|opus|mp3|flac|aiff?|wv|xm|mod|it|s3m)$", re.I)
# Names of sounds in which somebody speaks or sings.
VOICES = re.compile(
    r"voice|speech|speak|talk|taunt|announc|vocal|_desc|descr|(^|/)(cs|de|en|es|fr|it|nl|pl|ru)(_[a-z]+)?/|say|laugh"
    r"|scream|(^|[/_-])pain|death|grunt|human|narrat|tutorial|sequence|campaign|choir|song_|yell|hello|yes|no_|(^|[/_-])word",
    re.I,
)
MUSIC = re.compile(r"music|track|soundtrack|theme|song", re.I)
EXCERPT_S, EXCERPTS_OF_MUSIC, SHORTEST_S = 25, 4, 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judge", type=Path, required=True, help="Silero VAD's ONNX file")
    parser.add_argument("--debs", type=Path, help="folder of packages that are downloaded already")
    parser.add_argument("--noises", type=int, default=150, help="of one package at most")
    parser.add_argument("--pieces", type=int, default=40, help="of music, of one package at most")
    args = parser.parse_args()
    most = {"music": args.pieces, "noise": args.noises}
    rows: dict[str, list[tuple[str, str, str]]] = {"music": [], "noise": []}
    judge = Silero(args.judge)
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            deb = fetched(package, args.debs or Path(folder))
            if deb is None:
                print(f"{package}: cannot be downloaded; left out")
                continue
            found = excerpts(package, unpacked(deb, Path(folder) / "files"), args.out, most)
        for kind, paths in found.items():
            good = [path for path in paths if usable(judge, args.out / f"{kind}_debian" / path)]
            rows[kind] += [(path, package, "valid" if package in HELD_OUT else "train") for path in good]
        print(f"{package}: {len(found['music'])} of music, {len(found['noise'])} of noise", flush=True)
    for kind, of_kind in rows.items():
        with (args.out / f"{kind}_debian" / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("path", "source", "split"), *of_kind])


def fetched(package: str, folder: Path) -> Path | None:
    there = sorted(folder.glob(f"{package}_*.deb"))
    if not there:
        subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True)
        there = sorted(folder.glob(f"{package}_*.deb"))
    return there[0] if there else None


def unpacked(deb: Path, folder: Path) -> Path:
    """The package's files, and those in its archives."""
    subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
    for path in list(folder.rglob("*")):
        if path.suffix.lower() in {".pk3", ".zip", ".wz", ".jar"} and zipfile.is_zipfile(path):
            into = path.with_name(path.name + ".files")
            subprocess.run(["unzip", "-qq", "-o", str(path), "-d", str(into)], capture_output=True)
        elif path.suffix in {".h2drumkit", ".ocg", ".ocd"}:
            into = path.with_name(path.name + ".files")
            into.mkdir(exist_ok=True)
            subprocess.run(["tar", "-xf", str(path), "-C", str(into)], capture_output=True)
    return folder


def excerpts(package: str, folder: Path, out: Path, most: dict[str, int]) -> dict[str, list[str]]:
    """Writes the excerpts of one package; their paths below <kind>_debian."""
    sounds = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink() and SOUND.search(p.name)]
    sounds = [p for p in sounds if not VOICES.search(str(p.relative_to(folder)))]
    lengths = dict(zip(sounds, map(duration_s, sounds), strict=True))
    music = [p for p in sounds if lengths[p] >= 20 and (MUSIC.search(str(p.relative_to(folder))) or "music" in package)]
    noise = [p for p in sounds if p not in set(music) and lengths[p] >= SHORTEST_S]
    chosen = {"music": evenly(music, most["music"]), "noise": evenly(noise, most["noise"])}
    jobs = [
        (kind, path, start_s, f"{package}/{number:03d}_{path.stem[:40]}_{start_s:.0f}.opus")
        for kind, paths in chosen.items()
        for number, path in enumerate(paths)
        for start_s in starts_s(lengths[path], EXCERPTS_OF_MUSIC if kind == "music" else 1)
    ]
    for kind in chosen:
        (out / f"{kind}_debian" / package).mkdir(parents=True, exist_ok=True)
        for note in folder.glob("usr/share/doc/*/copyright"):
            (out / f"{kind}_debian" / package / "copyright").write_bytes(note.read_bytes())
    with ThreadPoolExecutor(2) as pool:
        written = pool.map(lambda job: convert(job[1], out / f"{job[0]}_debian" / job[3], job[2]), jobs)
    found: dict[str, list[str]] = {kind: [] for kind in chosen}
    for (kind, _, _, name), ok in zip(jobs, written, strict=True):
        if ok:
            found[kind].append(name)
    return found


def usable(judge: Silero, path: Path) -> bool:
    """Whether it can be read, and nobody speaks in it."""
    try:
        samples, _ = read_audio(path)
    except AudioError:
        return False
    return float(np.sum(judge(samples) > 0.5)) * CELL / RATE < 0.5


def evenly(paths: list[Path], most: int) -> list[Path]:
    """At most so many of the paths, spread over the list."""
    if len(paths) <= most:
        return paths
    return [paths[i * len(paths) // most] for i in range(most)]


def duration_s(path: Path) -> float:
    asked = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
    text = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    try:
        return float(text)
    except ValueError:
        return 0.0


def starts_s(length_s: float, most: int) -> list[float]:
    """Where excerpts begin: as many as do not overlap, spread evenly; a single one lies in the middle."""
    count = max(1, min(most, int(length_s // EXCERPT_S)))
    room = max(0.0, length_s - count * EXCERPT_S)
    return [(i + 1) * room / (count + 1) + i * EXCERPT_S for i in range(count)]


def convert(path: Path, to: Path, start_s: float) -> bool:
    command = ["ffmpeg", "-v", "error", "-y", "-ss", str(start_s), "-t", str(EXCERPT_S), "-i", str(path)]
    command += ["-ac", "1", "-ar", "16000", "-c:a", "libopus", "-b:a", "40k", str(to)]
    done = subprocess.run(command, capture_output=True).returncode == 0
    return done and to.stat().st_size > 1000


if __name__ == "__main__":
    main()
