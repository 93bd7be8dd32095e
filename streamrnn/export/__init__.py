"""Models for other runtimes: ONNX files, which need neither JAX nor this package, and StableHLO files, which need JAX.

Names are fetched from their modules when first used: running an ONNX file imports no JAX, and StableHLO no ONNX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamrnn.export.metadata import about_model
    from streamrnn.export.onnx import UnsupportedOperation, export_onnx, onnx_recording, onnx_step
    from streamrnn.export.onnx_stream import OnnxStep, OnnxStream
    from streamrnn.export.quantize import export_int8
    from streamrnn.export.stablehlo import export_stablehlo, load_stablehlo

_MODULE_OF = {
    "OnnxStep": "onnx_stream",
    "OnnxStream": "onnx_stream",
    "UnsupportedOperation": "onnx",
    "about_model": "metadata",
    "export_int8": "quantize",
    "export_onnx": "onnx",
    "export_stablehlo": "stablehlo",
    "load_stablehlo": "stablehlo",
    "onnx_recording": "onnx",
    "onnx_step": "onnx",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'streamrnn.export' has no attribute {name!r}")
    return getattr(import_module(f"streamrnn.export.{_MODULE_OF[name]}"), name)


__all__ = [
    "OnnxStep",
    "OnnxStream",
    "UnsupportedOperation",
    "about_model",
    "export_int8",
    "export_onnx",
    "export_stablehlo",
    "load_stablehlo",
    "onnx_recording",
    "onnx_step",
]
