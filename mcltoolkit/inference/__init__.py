"""Translation with a checkpoint that carries its config: for programs and for the command line."""

from mcltoolkit.inference.checkpoint import load_model
from mcltoolkit.inference.inputs import choose_size
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.inference.settings import inference_settings
from mcltoolkit.inference.translate import translate

__all__ = [
    "TranslationModel",
    "TranslationResult",
    "choose_size",
    "inference_settings",
    "load_model",
    "translate",
]
