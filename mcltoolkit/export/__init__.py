"""A trained model as files that run without this toolkit: ONNX and torch.export, verified."""

from mcltoolkit.export.capture import ExportedNetwork, capture
from mcltoolkit.export.folder import FORMATS, export_model
from mcltoolkit.export.onnx_model import OPSETS
from mcltoolkit.export.signature import Signature, sample_inputs, signature_of
from mcltoolkit.export.verify import deviations

__all__ = [
    "FORMATS",
    "OPSETS",
    "ExportedNetwork",
    "Signature",
    "capture",
    "deviations",
    "export_model",
    "sample_inputs",
    "signature_of",
]
