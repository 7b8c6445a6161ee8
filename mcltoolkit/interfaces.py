"""What the toolkit relies on in a component of each kind, and what the component may rely on.

A component is a `torch.nn.Module` whose class is registered under a name; it need not derive from
these protocols, only look like them. It is built from its settings in a config; what follows from
other settings (`FILLED_IN`) is filled in as keyword arguments where the config leaves it out. Every
trainable parameter takes part in every forward pass, as distributed training needs. Losses have a
base class: `mcltoolkit.losses.base.Loss`. `mcltoolkit.testing` tests all of it.

Conditions come as dense maps. A component whose class sets `takes_context = True` is given label
maps as ids instead, as a `mcltoolkit.context.OneHot` (`dense()` is the map, `resized(size)` another
size): encoder, generator and discriminator in the place of the condition, the correspondence in
`prepare_exemplar`. Where a subclass overrides that method, it says so anew. A discriminator that
says so is given the conditions of fake and real images once, see `Discriminator`.

Shapes: B batch, C channels, H x W image, h x w grid, D descriptor channels. Images are in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from mcltoolkit.structures import Alignment, Batch, DiscriminatorPass, Painting

FILLED_IN: Mapping[str, tuple[str, ...]] = {
    "encoder": ("in_channels",),
    "descriptor": ("in_channels",),
    "correspondence": ("in_channels", "condition_channels"),
    "generator": ("context_channels",),
    "discriminator": ("in_channels",),
}


@runtime_checkable
class Encoder(Protocol):
    """Condition or image -> feature map.

    Built with `in_channels`: C of the condition, or 3.

    Attributes:
        out_channels: channels of the map.
        stride: image pixels per grid cell and side; the condition's encoder and the image's have
            the same two values.
        multiple: optional; what H and W must be multiples of, where that is more than `stride`.
    """

    out_channels: int
    stride: int

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, H / stride, W / stride), any scale: the translator
        brings each position to unit length. H and W may differ.

        Raises:
            ConfigError: H or W is not a multiple of `stride`.
        """
        ...


@runtime_checkable
class Descriptor(Protocol):
    """Feature map -> further channels that the correspondence matches too (`self_correlation`).

    Registered among the correspondences. Built with `in_channels`: C of the features.

    Attributes:
        out_channels: channels that it adds.
    """

    out_channels: int

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w), unit length over C -> (B, out_channels, h, w)."""
        ...


@runtime_checkable
class Correspondence(Protocol):
    """Matches the two sides and warps the exemplar.

    Built with `in_channels`: D, and `condition_channels`: C. Optional class attributes:

    - `needs_features = False`: works in a model without encoders; the descriptors are then None
      and D is 0.
    - `guidance_channels`: channels of `Alignment.guidance`, 3 for a module that sets none. Needed
      on the object, so that `__init__` may set it.
    - `provides`: names of outputs that it puts into `Alignment.extras` when asked for.
    - `needs_exemplar_condition`: it cannot work without the exemplar's dense condition, so that
      inference asks for it. A module that has none needs it if `mask_mix` is set in it or in a
      module below it.
    - `prepare_exemplar(descriptors, condition) -> Tensor`, a method: what `forward` makes of the
      exemplar's descriptors (B, D, h, w) and dense condition (None where it is unknown) alone,
      with B first. `forward` then takes it as the keyword `prepared`, None by default, and gives
      the same with it as without. At inference one exemplar is so prepared once for many
      conditions; a module without the method computes its side each time.
    """

    def forward(
        self,
        condition_descriptors: Tensor,
        exemplar_descriptors: Tensor,
        batch: Batch,
        outputs: frozenset[str] = frozenset(),
    ) -> Alignment:
        """Match the two maps and warp the exemplar.

        Args:
            condition_descriptors: (B, D, h, w), as the encoders (and the descriptor) made them.
            exemplar_descriptors: the same for the exemplar; its grid may differ.
            batch: exemplar (B, 3, H, W), conditions (B, C, H, W): `condition` and
                `exemplar_condition` read dense, `given_condition` and `given_exemplar_condition`
                may be the ids of label maps.
            outputs: what is asked for beyond the match and the warped exemplar: `warped_labels`,
                `cycle`, names in `provides`. Names that it does not know are left alone.
        """
        ...


@runtime_checkable
class Generator(Protocol):
    """Warped exemplar and condition -> image.

    Built with `context_channels`: channels of both inputs together. Optional attributes:

    - `stride`: H and W must be multiples of it.
    - `provides`: names of outputs that it puts into `Painting.extras`.
    """

    def forward(self, warped: Tensor, condition: Tensor) -> Tensor | Painting:
        """Paint.

        Args:
            warped: (B, 3, H, W), the exemplar in the condition's layout; (B, G, H, W) of a
                correspondence with `guidance_channels` G.
            condition: (B, C, H, W).

        Returns:
            (B, 3, H, W) in [-1, 1]; in a `Painting` if there is more to tell.
        """
        ...


@runtime_checkable
class Discriminator(Protocol):
    """Condition and image -> scores and layer outputs.

    Built with `in_channels`: C + 3.
    """

    def forward(self, condition: Tensor, image: Tensor) -> DiscriminatorPass:
        """Judge images (B, 3, H, W) under their conditions (B, C, H, W).

        Samples must not influence each other, except through a batch normalisation: real and fake
        images come stacked along B, or in the generator's step one after the other where no batch
        normalisation and no buffer (but spectral norm's) is found. With `takes_context` there may
        be fewer conditions, dense or not, than images: with b of them, image i is judged under
        condition i mod b.
        """
        ...
