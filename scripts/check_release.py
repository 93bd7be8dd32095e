"""What must hold before a release: builds wheel and sdist, and tries both.

    python scripts/check_release.py        (`make release-check`; needs the extra `release`)

1. The version stands in CHANGELOG.md, above everything else.
2. sdist and wheel build, and PyPI would render their description.
3. The bare wheel runs every command: see try_wheel.py.
4. The sdist has what its tests need, and they pass.
5. No dependency has a licence that binds whoever uses the library (GPL, AGPL).
6. Every model has a card that is complete: see `streamrnn card`.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import streamrnn
from streamrnn.pretrained import shipped

ROOT = Path(__file__).parents[1]
# Tests that need no more than the sdist and a minute.
TESTS = ("tests/decisions", "tests/test_golden.py", "tests/test_bad_input.py", "tests/features")
BINDING = re.compile(r"(?<!L)\b(A?GPL|GNU (AFFERO )?GENERAL PUBLIC)", re.I)


def main() -> None:
    wrong = [*version_wrong(), *licences_wrong(), *cards_wrong()]
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "dist"
        wrong += failed("build", [sys.executable, "-m", "build", "--outdir", built, ROOT])
        if not wrong:
            wrong += failed("twine", [sys.executable, "-m", "twine", "check", "--strict", *built.iterdir()])
            wrong += failed("the bare wheel", [sys.executable, ROOT / "scripts" / "try_wheel.py"])
            wrong += sdist_wrong(next(built.glob("*.tar.gz")), Path(folder))
    for problem in wrong:
        print(problem, file=sys.stderr)
    print(f"streamrnn {streamrnn.__version__}: {len(wrong)} problems before a release")
    sys.exit(1 if wrong else 0)


def failed(what: str, command: list, cwd: Path = ROOT) -> list[str]:
    print(f"{what} ...", flush=True)
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"{what} failed:\n{(done.stdout + done.stderr)[-3000:]}"]


def version_wrong() -> Iterator[str]:
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    stated = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    versions = {match[1].rstrip(",") if match else None for match in (heading, stated)} | {streamrnn.__version__}
    if len(versions) != 1:
        yield f"CHANGELOG.md, pyproject.toml and streamrnn.__version__ state different versions: {versions}"


def sdist_wrong(sdist: Path, folder: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    return failed("tests of the sdist", [sys.executable, "-m", "pytest", "-q", "-n", "0", *TESTS], unpacked)


def licences_wrong() -> Iterator[str]:
    """Dependencies, and theirs, whose licence binds whoever uses them."""
    for name in sorted(needed("streamrnn")):
        about = metadata.metadata(name)
        stated = [about.get("License-Expression"), about.get("License"), *(about.get_all("Classifier") or [])]
        licences = [text.splitlines()[0] for text in stated if text and ("License" in text or "::" not in text)]
        if any(BINDING.search(text) for text in licences):
            yield f"{name} is under {', '.join(licences)}"


def needed(name: str) -> set[str]:
    """All packages that an installation without extras brings."""
    found, waiting = set(), [name]
    while waiting:
        for line in metadata.requires(waiting.pop()) or []:
            package = re.match(r"[\w.-]+", line)
            if package is None or "extra ==" in line or package[0] in found:
                continue
            try:
                metadata.version(package[0])
            except metadata.PackageNotFoundError:
                continue  # of another platform
            found.add(package[0])
            waiting.append(package[0])
    return found


def cards_wrong() -> Iterator[str]:
    for name in shipped():
        yield from failed(f"the card of {name}", [sys.executable, "-m", "streamrnn", "card", name])


if __name__ == "__main__":
    main()
