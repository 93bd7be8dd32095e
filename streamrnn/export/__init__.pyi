from .metadata import about_model
from .onnx import UnsupportedOperation, export_onnx, onnx_recording, onnx_step
from .quantize import export_int8
from .silero import NotSileroShaped, export_silero, silero_step
from .stablehlo import export_stablehlo, load_stablehlo

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
