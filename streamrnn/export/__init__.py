"""Models for other runtimes: ONNX files, which need neither JAX nor this package, and StableHLO files, which need JAX.

Names are fetched from their modules when first used: exporting StableHLO imports no ONNX. ONNX files run by
`streamrnn.load`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamrnn.export.metadata import about_model
    from streamrnn.export.onnx import UnsupportedOperation, export_onnx, onnx_recording, onnx_step
    from streamrnn.export.quantize import export_int8
    from streamrnn.export.silero import NotSileroShaped, export_silero, silero_step
    from streamrnn.export.stablehlo import export_stablehlo, load_stablehlo

_MODULE_OF = {
    "NotSileroShaped": "silero",
    "UnsupportedOperation": "onnx",
    "about_model": "metadata",
    "export_int8": "quantize",
    "export_onnx": "onnx",
    "export_silero": "silero",
    "export_stablehlo": "stablehlo",
    "load_stablehlo": "stablehlo",
    "onnx_recording": "onnx",
    "onnx_step": "onnx",
    "silero_step": "silero",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'streamrnn.export' has no attribute {name!r}")
    return getattr(import_module(f"streamrnn.export.{_MODULE_OF[name]}"), name)


__all__ = [
    "NotSileroShaped",
    "UnsupportedOperation",
    "about_model",
    "export_int8",
    "export_onnx",
    "export_silero",
    "export_stablehlo",
    "load_stablehlo",
    "onnx_recording",
    "onnx_step",
    "silero_step",
]
