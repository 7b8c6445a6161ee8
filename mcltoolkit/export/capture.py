"""The forward path as one graph: alignment and generation, captured by torch.export.

Spectral norm is folded into the weights first: in evaluation it only divides them by a constant.
"""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mcltoolkit.errors import ConfigError, described
from mcltoolkit.export.signature import Signature, sample_inputs
from mcltoolkit.layers import fold_parametrizations
from mcltoolkit.models.translator import Translator
from mcltoolkit.structures import Batch


class ExportedNetwork(nn.Module):
    """(condition, exemplar, maybe exemplar condition) -> (image, warped exemplar).

    Args:
        translator: in evaluation mode.
    """

    def __init__(self, translator: Translator) -> None:
        super().__init__()
        self.translator = translator

    def forward(
        self, condition: Tensor, exemplar: Tensor, exemplar_condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Translate.

        Args:
            condition: (B, C, H, W), dense.
            exemplar: (B, 3, H, W) in [-1, 1].
            exemplar_condition: as `condition`, where the correspondence mixes it in.

        Returns:
            image and warped exemplar, both (B, 3, H, W) in [-1, 1].
        """
        batch = Batch(
            names=["condition"],
            exemplar=exemplar,
            paired=torch.zeros(1, dtype=torch.bool),
            condition=condition,
            exemplar_condition=exemplar_condition,
            exemplar_names=["exemplar"],
        )
        translation = self.translator(batch)
        return translation.fake, translation.alignment.warped


def plain_network(translator: Translator) -> ExportedNetwork:
    """A copy on the CPU, in evaluation mode and float32, with parametrised weights made plain."""
    network = ExportedNetwork(copy.deepcopy(translator).cpu().float()).eval()
    return fold_parametrizations(network).requires_grad_(False)


def capture(translator: Translator, signature: Signature) -> ExportedProgram:
    """The graph for one image size and any batch size of 1 or more.

    Raises:
        ConfigError: a component does what a graph cannot hold.
    """
    network = plain_network(translator)
    batch = Dim("batch", min=1)
    # two samples: torch.export takes a batch of one for a constant
    sample = sample_inputs(signature, 2, "scene")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                network,
                tuple(sample.values()),
                dynamic_shapes={name: {0: batch} for name in sample},
                strict=False,
            )
    except Exception as error:
        parts = ", ".join(
            f"{name} {type(part).__name__}" for name, part in translator.named_children()
        )
        raise ConfigError(
            f"torch.export cannot capture this model as a graph: "
            f"{described(error).splitlines()[0]}; its parts are "
            f"{parts}. Allowed are parts that compute with tensors alone, for any batch size, "
            f"without Python decisions on their values; use the checkpoint itself with "
            f"tools/translate.py, or see the limits in docs/export.md"
        ) from error
    _forget_places(program)
    return program


def _forget_places(program: ExportedProgram) -> None:
    """Drop the lines of source that operations came from: they name folders of this machine."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
