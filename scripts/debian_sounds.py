"""Noise and music from Debian's packages of games and desktops, as folders to train on.

    python scripts/debian_sounds.py OUT --judge silero_vad.onnx

downloads the packages in PACKAGES with apt-get, and writes OUT/noise_debian and OUT/music_debian: excerpts of at most
25 s at 16 kHz, mono, Ogg Opus, with manifest.csv (path, source, split). Whole packages are held out for validation.
Sounds in which somebody speaks are left out: by their names, and where the judge (see label_speech.py) hears speech for
0.5 s or more.
Each package's licence is in its own usr/share/doc/<package>/copyright, which is copied beside the sounds; most are GPL
or CC BY-SA. Needs Debian, ffmpeg, dpkg-deb and unzip. It takes an hour or more and 5 GB; what was
ended goes on where it was with the same command.
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
    "abe-data",
    "adonthell-data",
    "alienblaster-data",
    "amphetamine-data",
    "ardentryst",
    "asc-music",
    "asterisk-moh-opsound-wav",
    "atanks-data",
    "baresip-core",
    "berusky2-data",
    "biniax2-data",
    "blobwars-data",
    "blockout2",
    "bomberclone-data",
    "boswars-data",
    "brainparty-data",
    "btanks-data",
    "bucklespring-data",
    "bzflag-data",
    "caveexpress-data",
    "cavepacker-data",
    "ceferino-data",
    "chromium-bsu-data",
    "circuslinux-data",
    "colobot-common-sounds",
    "crrcsim-data",
    "csmash-data",
    "csoundqt-examples",
    "cube2-data",
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
    "flightgear-data-base",
    "foobillardplus-data",
    "freecol",
    "freedink-data",
    "freedroid-data",
    "freegish-data",
    "freeorion-data",
    "fretsonfire-songs-muldjord",
    "frozen-bubble-data",
    "funnyboat",
    "gajim",
    "gamine-data",
    "garden-of-coloured-lights-data",
    "gcompris-qt-data",
    "gigalomania-data",
    "gl-117-data",
    "glob2-data",
    "gnome-audio",
    "gnome-shell-pomodoro-data",
    "grandorgue-demo",
    "gunroar-data",
    "hannah-data",
    "hedgewars-data",
    "heroes-sound-effects",
    "heroes-sound-tracks",
    "hex-a-hop-data",
    "holotz-castle-data",
    "hydrogen-data",
    "hydrogen-drumkits",
    "hydrogen-drumkits-effects",
    "jami-daemon",
    "khangman",
    "krank",
    "lbreakout2-data",
    "lgeneral-data",
    "linphone-common",
    "lmms-common",
    "lordsawar-data",
    "lugaru-data",
    "madbomber-data",
    "mazeofgalious-data",
    "meritous-data",
    "miceamaze",
    "micropolis-data",
    "minetest-mod-homedecor",
    "minetest-mod-mesecons",
    "minetest-mod-nether",
    "minetest-mod-xdecor",
    "mirrormagic-data",
    "moon-lander-data",
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
    "orbital-eunuchs-sniper-data",
    "overgod-data",
    "oxygen-sounds",
    "parsec47-data",
    "pathological",
    "pax-britannica-data",
    "pekka-kana-2-data",
    "photofilmstrip",
    "pinball-data",
    "pingus-data",
    "pink-pony-data",
    "planetblupi-common",
    "planetblupi-music-ogg",
    "plasma-workspace-data",
    "plee-the-bear-data",
    "pokerth-data",
    "powermanga-data",
    "psi-plus-sounds",
    "pushover-data",
    "rafkill-data",
    "raincat-data",
    "ri-li-data",
    "rockdodger",
    "rrootage-data",
    "scorched3d-data",
    "scratch",
    "sdl-ball-data",
    "searchandrescue-data",
    "solarwolf",
    "sound-icons",
    "sound-theme-freedesktop",
    "spring-common",
    "starfighter-data",
    "starvoyager-data",
    "stormbaancoureur-data",
    "supertransball2-data",
    "supertux-data",
    "tecnoballz-data",
    "teeworlds-data",
    "titanion-data",
    "tomatoes-data",
    "torcs-data",
    "torus-trooper-data",
    "trackballs-data",
    "trigger-rally-data",
    "triplea",
    "trophy-data",
    "tumiki-fighters-data",
    "tuxfootball",
    "tuxmath-data",
    "tuxpaint-data",
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
    "widelands-data",
    "wizznic-data",
    "wordwarvi-sound",
    "workrave-data",
    "xmoto-data",
    "yaru-theme-sound",
)
HELD_OUT = {
    "asterisk-moh-opsound-wav",
    "crrcsim-data",
    "endless-sky-data",
    "fb-music-high",
    "frozen-bubble-data",
    "gamine-data",
    "gigalomania-data",
    "gnome-shell-pomodoro-data",
    "hex-a-hop-data",
    "lugaru-data",
    "minetest-mod-homedecor",
    "nexuiz-music",
    "pushover-data",
    "rafkill-data",
    "trigger-rally-data",
    "tuxfootball",
}
SOUND = re.compile(r"\.(wav|ogg|oga|opus|mp3|flac|aiff?|wv|xm|mod|it|s3m)$", re.I)
# Names of sounds in which somebody speaks or sings.
VOICES = re.compile(
    r"voice|speech|speak|talk|taunt|announc|vocal|_desc|descr|(^|/)(cs|de|en|es|fr|it|nl|pl|ru)(_[a-z]+)?/|say|laugh"
    r"|scream|(^|[/_-])pain|death|grunt|human|narrat|tutorial|sequence|campaign|choir|song_|yell|hello|yes|no_|(^|[/_-])word",
    re.I,
)
MUSIC = re.compile(r"music|track|soundtrack|theme|song|/moh/", re.I)
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
    judge, there = Silero(args.judge), packages_in(args.out)
    for package in PACKAGES:
        if package in there:
            continue
        with tempfile.TemporaryDirectory() as folder:
            deb = fetched(package, args.debs or Path(folder))
            if deb is None:
                print(f"{package}: cannot be downloaded; left out")
                continue
            found = excerpts(package, unpacked(deb, Path(folder) / "files"), args.out, most)
        good = {
            kind: [path for path in paths if usable(judge, args.out / f"{kind}_debian" / path)]
            for kind, paths in found.items()
        }
        # All of a package at once: one whose rows are there counts as done.
        for kind, paths in good.items():
            split = "valid" if package in HELD_OUT else "train"
            add_rows(args.out / f"{kind}_debian", [(path, package, split) for path in paths])
        print(f"{package}: {len(found['music'])} of music, {len(found['noise'])} of noise", flush=True)


def packages_in(out: Path) -> set[str]:
    """The packages of which an earlier run wrote excerpts: it may be ended and begun again."""
    tables = [table.read_text(encoding="utf-8") for table in out.glob("*_debian/manifest.csv")]
    return {row["source"] for table in tables for row in csv.DictReader(table.splitlines())}


def add_rows(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    table = folder / "manifest.csv"
    is_new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "source", "split")] * is_new + rows)


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
