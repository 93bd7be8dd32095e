"""Build the wheel, install it without extras into a fresh environment, and run every command in an empty folder.

python scripts/try_wheel.py        (`make test-wheel`)

What needs an extra has to say so by its name, what needs none has to work. pip's cache makes it quick.
"""

import os
import subprocess
import sys
import tempfile
import venv
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DONE, FAILED = 0, 2
TIMEOUT_S = 300


class Trial(NamedTuple):
    """A command line, the exit status that it has to end with, and what it has to say."""

    arguments: str
    status: int
    says: str = ""


TRIALS = [
    Trial("--version", DONE, "streamrnn"),
    Trial("--help", DONE, "serve"),
    Trial("demo", DONE, "speech_start"),
    Trial("models", DONE, "vad"),
    Trial("models vad", DONE, "parameters"),
    Trial("run vad {sound}", DONE, "of audio"),
    Trial("run denoise {sound} --out clean.wav", DONE, "of audio"),
    Trial("run vad {sound} --plot speech.png", FAILED, "streamrnn[plot]"),
    Trial("run vad mic", FAILED, "streamrnn[mic]"),
    Trial("batch vad {sound} --out heard", DONE, "1 recordings done"),
    Trial("batch vad {sound} --out heard --table parquet", FAILED, "streamrnn[parquet]"),
    Trial("run vad {sound} --server ws://127.0.0.1:1", FAILED, "streamrnn[serve]"),
    Trial("serve vad --port 0", FAILED, "streamrnn[serve]"),
    Trial("export vad vad.onnx", FAILED, "streamrnn[onnx]"),
    Trial("export vad vad.stablehlo", DONE),
    Trial("export vad vad8.onnx --int8", FAILED, "--recordings"),
    Trial("export vad vad8.onnx --int8 --recordings {folder}", FAILED, "streamrnn[onnx]"),
    Trial("guard digits guarded", DONE, "wrote guarded.safetensors"),
    Trial("bench step --help", DONE),
    Trial("bench pool --streams 4 --json", DONE),
    Trial("bench serve --streams 1", FAILED, "pip install"),
    Trial("compare --help", DONE),
    Trial("compose vad --help", DONE),
    Trial("audit groups --help", DONE),
    Trial("card vad", DONE, "vad.md is complete"),
    Trial("data fetch --help", DONE),
    Trial("evaluate denoise --help", DONE),
    Trial("train vad --help", DONE),
]
WRITTEN = {"clean.wav", "guarded.json", "guarded.safetensors", "heard", "vad.stablehlo", "vad.stablehlo.json"}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        command = install(build(root / "wheel"), root / "environment")
        sounds = root / "sounds"
        sounds.mkdir()
        write_sound(sounds / "noise.wav")
        environment = os.environ | {"HOME": str(root / "home"), "XDG_CACHE_HOME": str(root / "cache")}
        environment.pop("PYTHONPATH", None)
        paths = {"sound": sounds / "noise.wav", "folder": sounds}
        empty = [root / "empty" / str(number) for number in range(len(TRIALS))]
        with ThreadPoolExecutor(os.cpu_count()) as trying:
            problems = trying.map(
                lambda trial, folder: tried(trial, command, paths, folder, environment), TRIALS, empty
            )
            wrong = [problem for of_one in problems for problem in of_one]
        written = {path.name for path in (root / "empty").glob("*/*")}
        if written != WRITTEN:
            wrong.append(f"the commands wrote {sorted(written)}; expected were {sorted(WRITTEN)}")
    for problem in wrong:
        print(problem, file=sys.stderr)
    print(f"{len(TRIALS)} commands of the bare wheel tried, {len(wrong)} problems")
    sys.exit(1 if wrong else 0)


def build(out: Path) -> Path:
    """The wheel, built by pip."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, ROOT],
        check=True,
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    (wheel,) = out.glob("*.whl")
    return wheel


def install(wheel: Path, environment: Path) -> Path:
    """The command `streamrnn` of a fresh environment, which sees no packages but its own."""
    venv.create(environment)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", scripts / "python", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", wheel], check=True)
    return scripts / "streamrnn"


def write_sound(path: Path) -> None:
    """Two seconds of quiet noise at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(byte if at % 2 == 0 else 0 for at, byte in enumerate(os.urandom(64_000))))


def tried(trial: Trial, command: Path, paths: dict[str, Path], folder: Path, environment: dict[str, str]) -> list[str]:
    """What is wrong with what the command does in a folder of its own."""
    folder.mkdir(parents=True)
    arguments = [part.format(**paths) for part in trial.arguments.split()]
    run = subprocess.run(
        [command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    said = run.stdout + run.stderr
    if run.returncode == trial.status and trial.says in said and "Traceback" not in said:
        return []
    wanted = f"status {trial.status}" + (f" and {trial.says!r}" if trial.says else "")
    return [f"streamrnn {trial.arguments}: needed is {wanted}; it ended with {run.returncode} and said\n{said[-1500:]}"]


if __name__ == "__main__":
    main()
