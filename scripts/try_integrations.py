"""Run the tests of each integration against the real packages, each in an environment of its own.

python scripts/try_integrations.py [NAME ...]        (`make test-integrations`)

The environments are kept in .venv-integrations/, so that a second run is quick. An integration whose tests were all
skipped counts as failed. That of vad-web needs Node.js and npm.
"""

import argparse
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-integrations"
TIMEOUT_S = 1800
INSTALLATIONS_AT_ONCE = 2
TESTING = ("beartype>=0.20", "hypothesis>=6.120", "pytest>=9.0")


class Integration(NamedTuple):
    """What its tests need: extras of this package, other packages, test files (relative to tests/), packages of npm."""

    extras: str
    packages: tuple[str, ...]
    tests: tuple[str, ...]
    npm: tuple[str, ...] = ()


INTEGRATIONS: dict[str, Integration] = {
    "livekit": Integration("livekit,onnx", ("livekit-plugins-silero>=1.8,<2",), ("integrations/test_livekit.py",)),
    "pipecat": Integration("pipecat,onnx", (), ("integrations/test_pipecat.py",)),
    "sherpa": Integration("onnx", ("sherpa-onnx>=1.12",), ("integrations/test_sherpa.py",)),
    "vad-web": Integration("onnx", (), ("integrations/test_vad_web.py",), ("@ricky0123/vad-web@0.0.31",)),
    "hub": Integration("hub", (), ("integrations/test_hub.py",)),
    # Its extra `realtime` wants an older websockets than the server beside it; the client works with either.
    "openai": Integration("serve", ("openai>=3.0",), ("integrations/test_realtime.py",)),
    "ray": Integration("parquet,ray", ("ray[data,train]>=2.40,<3",), ("integrations/test_ray.py",)),
    "wyoming": Integration("wyoming", (), ("integrations/test_wyoming.py",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all ({', '.join(INTEGRATIONS)})")
    names = parser.parse_args().names or list(INTEGRATIONS)
    if unknown := sorted(set(names) - set(INTEGRATIONS)):
        parser.error(f"there is no integration {', '.join(unknown)}; there are {', '.join(INTEGRATIONS)}")
    installing = ThreadPoolExecutor(INSTALLATIONS_AT_ONCE)
    try:
        # Packages of the next ones are installed while the tests of one run.
        environments = {name: installing.submit(environment, name, INTEGRATIONS[name]) for name in names}
        failed = [name for name in names if not passes(name, INTEGRATIONS[name], environments[name].result)]
    finally:
        # After Ctrl-C, nothing more is begun.
        installing.shutdown(cancel_futures=True)
    print(f"{len(names)} integrations tried, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}")
    sys.exit(1 if failed else 0)


def passes(name: str, integration: Integration, installed: Callable[[], Path]) -> bool:
    """Whether its packages could be installed, its tests ran, and all passed."""
    try:
        python = installed()
    except (OSError, subprocess.SubprocessError) as failure:
        print(f"== {name}: {failure}", flush=True)
        return False
    tests = [ROOT / "tests" / test for test in integration.tests]
    print(f"== {name}", flush=True)
    # Tests of a package that is missing leave nothing to run, for which pytest has a status of its own.
    modules = {"NODE_PATH": str(ENVIRONMENTS / name / "node_modules")}
    run = [python, "-m", "pytest", "-q", "-rs", *tests]
    return subprocess.run(run, cwd=ROOT, env=os.environ | modules, timeout=TIMEOUT_S).returncode == 0


def environment(name: str, integration: Integration) -> Path:
    """The Python of an environment with this package and all that the tests need."""
    folder = ENVIRONMENTS / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    own = f"{ROOT}[{integration.extras}]" if integration.extras else str(ROOT)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", own]
    subprocess.run([*install, *integration.packages, *TESTING], check=True, timeout=TIMEOUT_S)
    if integration.npm:
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder]
        subprocess.run([*npm, *integration.npm], check=True, timeout=TIMEOUT_S)
    return python


if __name__ == "__main__":
    main()
