"""The translator (forward path) and the adversarial training around it."""

from mcltoolkit.models.exemplar_gan import BatchPreprocessor, ExemplarGAN
from mcltoolkit.models.translator import Translator

__all__ = ["BatchPreprocessor", "ExemplarGAN", "Translator"]
