"""Translation with a checkpoint that carries its config: for programs and for the command line."""

from mcltoolkit.inference.api import interpolate, translate, translate_each
from mcltoolkit.inference.cache import ExemplarCache
from mcltoolkit.inference.checkpoint import load_model
from mcltoolkit.inference.exemplars import Exemplar
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.inference.settings import inference_settings
from mcltoolkit.inference.sizes import choose_size

__all__ = [
    "Exemplar",
    "ExemplarCache",
    "TranslationModel",
    "TranslationResult",
    "choose_size",
    "inference_settings",
    "interpolate",
    "load_model",
    "translate",
    "translate_each",
]
