"""`streamrnn export`: models as files for other runtimes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from streamrnn.cli.flags import parse
from streamrnn.cli.outputs import check_outputs

if TYPE_CHECKING:
    from streamrnn.models import Model

RECORDINGS = Path("audio_samples")
# What libsndfile reads and people keep.
SOUND = (".flac", ".mp3", ".ogg", ".opus", ".wav")


@dataclass(frozen=True)
class Export:
    """Exports a model to a file that runs without streamrnn: see docs/export.md.

    examples:
      streamrnn export vad vad.onnx                      one block of sound at a time, with explicit state
      streamrnn export vad vad.onnx --scan               whole recordings
      streamrnn export vad vad.onnx --int8               less than half the size; prints what that costs
      streamrnn export vad vad.stablehlo                 for JAX, on CPU, GPU and TPU
      streamrnn export vad-compact vad.onnx --silero     for programs that load Silero VAD
    """

    model: tyro.conf.Positional[str]
    """Name of a model (see `streamrnn models`), or path of a .safetensors file."""
    out: tyro.conf.Positional[Path]
    """The file to write: .onnx, or .stablehlo with a .stablehlo.json beside it."""
    scan: bool = False
    """Export a graph of whole recordings of any length, instead of one block (.onnx)."""
    int8: bool = False
    """Quantise trained weights to 8 bits, and print what that costs (.onnx)."""
    silero: bool = False
    """Export a graph with the inputs and outputs of Silero VAD 5 and 6, for programs that load it (.onnx). The model
    must detect speech, with a hop that divides 256 samples and a small state: see docs/silero.md."""
    recordings: Path = RECORDINGS
    """Folder of recordings on which to measure the cost of --int8."""

    def check(self) -> list[Path]:
        """The recordings to measure on, if any.

        Raises:
            OSError: the file cannot be written.
            ValueError: an unknown suffix, flags that exclude each other, or no recordings.
        """
        if self.out.suffix not in (".onnx", ".stablehlo"):
            raise ValueError(f"{self.out} ends in {self.out.suffix!r}. Name a file that ends in .onnx or .stablehlo.")
        flags = [flag for flag in ("scan", "int8", "silero") if getattr(self, flag)]
        if self.out.suffix == ".stablehlo" and flags:
            raise ValueError(f"--{flags[0]} is for .onnx files. Leave it out, or name a file that ends in .onnx.")
        if len(flags) > 1:
            raise ValueError(f"--{' and --'.join(flags)} exclude each other. Leave all but one out.")
        if not self.int8 and self.recordings != RECORDINGS:
            raise ValueError("--recordings is what the cost of --int8 is measured on. Leave it out, or add --int8.")
        check_outputs(self.model, [self.out])
        return self._recordings() if self.int8 else []

    def _recordings(self) -> list[Path]:
        found = sorted(path for path in self.recordings.glob("*") if path.suffix.lower() in SOUND)
        if not found:
            raise ValueError(
                f"--int8 measures its cost on recordings, and {self.recordings} has none ({', '.join(SOUND)}). "
                "Pass a folder with sound that the model is for: --recordings FOLDER"
            )
        return found


def main(args: list[str]) -> None:
    """Runs `streamrnn export`.

    Raises:
        OSError, ValueError, ImportError: model or file cannot be used, or a package is missing.
    """
    flags = parse(Export, "export", args)
    recordings = flags.check()
    # Here, not above: JAX takes a second to import, and what is wrong with the flags is said before.
    from streamrnn.export.metadata import about_model
    from streamrnn.pretrained import load
    from streamrnn.runtime import configure

    configure()
    model, about = load(flags.model), about_model(flags.model)
    if flags.out.suffix == ".stablehlo":
        from streamrnn.export.stablehlo import export_stablehlo

        export_stablehlo(model, flags.out, about=about)
    elif flags.silero:
        from streamrnn.export.silero import export_silero

        export_silero(model, flags.out, about)
    elif flags.int8:
        _export_int8(model, flags.out, recordings, about)
    else:
        from streamrnn.export.onnx import export_onnx

        export_onnx(model, flags.out, recording=flags.scan, about=about)
    print(f"wrote {flags.out}, {flags.out.stat().st_size / 1e6:.2f} MB")


def _export_int8(model: "Model", out: Path, recordings: list[Path], about: dict[str, Any]) -> None:
    from streamrnn.export.quantize import export_int8

    cost = export_int8(model, out, recordings, about=about)
    events = f"; {cost.events_changed} differences in {cost.events} events" if cost.events else ""
    print(f"8 bits on {cost.recordings} recordings: outputs differ by at most {cost.max_difference:.3g}{events}")


__all__ = ["Export", "main"]
