"""Geometry by albumentations, the same for an image and its labels or condition maps.

Two things are added to albumentations: resizing as PIL does it (OpenCV's bicubic aliases when it
shrinks, its nearest is shifted by half a pixel), and randomness that one generator a call decides.
"""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

# albumentations asks the network for newer versions at import, which a loader worker must not.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

from mcltoolkit.errors import ConfigError, DataError, ToolkitError, near_matches
from mcltoolkit.registry import TRANSFORMS

Transform: TypeAlias = "A.BasicTransform | A.BaseCompose"


def pil_resize(array: np.ndarray, height: int, width: int, how: Image.Resampling) -> np.ndarray:
    """An image (H, W, 3) uint8 or one map (H, W) of any integer type, resized as PIL does."""
    if array.shape[:2] == (height, width):
        return array.copy()
    # PIL's 16-bit modes are patchy; its 32-bit mode takes every label.
    wide = array if array.dtype == np.uint8 else array.astype(np.int32)
    resized = np.array(Image.fromarray(wide).resize((width, height), how))
    return resized.astype(array.dtype, copy=False)


@TRANSFORMS.register_module()
class PILResize(A.DualTransform):
    """Resize as PIL does: images bicubic with antialiasing, labels nearest with pixel centres.

    As the first step of a `Geometry`, it also tells at which size a condition that is computed
    from photo and files (edges, distance maps) is computed.

    Args:
        height, width: the new size, pixels.
        short_side: instead of the two, the new length of the shorter side; the aspect is kept.
        p: probability.

    Raises:
        ConfigError: neither or both are given, or a size is below 1.
    """

    _targets = (A.core.type_definitions.Targets.IMAGE, A.core.type_definitions.Targets.MASK)

    def __init__(
        self,
        height: int | None = None,
        width: int | None = None,
        short_side: int | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        sizes = {"height": height, "width": width, "short_side": short_side}
        given = {name for name, value in sizes.items() if value is not None}
        if given not in ({"height", "width"}, {"short_side"}):
            raise ConfigError(
                f"PILResize has {sizes}; allowed are height and width, or short_side alone"
            )
        small = {name: sizes[name] for name in given if (sizes[name] or 0) < 1}
        if small:
            raise ConfigError(f"PILResize has {small}; allowed are sizes >= 1 pixel")
        self.height, self.width, self.short_side = height, width, short_side

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) that a picture of this size gets."""
        if self.short_side is None:
            assert self.height is not None
            assert self.width is not None
            return self.height, self.width
        scale = self.short_side / min(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        """The image (H, W, 3) uint8, resized."""
        return pil_resize(img, *self.new_size(*img.shape[:2]), Image.Resampling.BICUBIC)

    def apply_to_mask(self, mask: np.ndarray, **params: Any) -> np.ndarray:
        """The labels (H, W) or maps (H, W, C), resized; no new value appears."""
        size, how = self.new_size(*mask.shape[:2]), Image.Resampling.NEAREST
        if mask.ndim == 2:
            return pil_resize(mask, *size, how)
        return np.dstack([pil_resize(m, *size, how) for m in mask.transpose(2, 0, 1)])


def build_transform(config: Mapping[str, Any] | Transform) -> Transform:
    """A transform from `dict(type=NAME, **arguments)`.

    NAME is looked up among the registered transforms first, then among albumentations' classes.
    Containers such as `OneOf` take configs in `transforms`.

    Raises:
        ConfigError: the name or an argument is unknown (near matches are listed), or an
            argument's value is not allowed.
    """
    if isinstance(config, A.BasicTransform | A.BaseCompose):
        return config
    arguments = dict(config)
    if "type" not in arguments:
        raise ConfigError(f"geometry step {arguments} has no `type`; write dict(type='PILResize')")
    cls = _transform_class(arguments.pop("type"))
    if isinstance(arguments.get("transforms"), Sequence):
        arguments["transforms"] = [build_transform(step) for step in arguments["transforms"]]
    known = [name for name in inspect.signature(cls).parameters if name != "strict"]
    for name in arguments:
        # albumentations only warns about these and then goes on with its default.
        if name not in known:
            raise ConfigError(
                f"geometry step {cls.__name__} has no argument {name!r}"
                f"{near_matches(name, known)}; allowed are {', '.join(known)}"
            )
    try:
        return cls(**arguments)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"geometry step {cls.__name__} with {arguments} is not allowed: {error}; "
            f"correct its arguments"
        ) from error


class Geometry:
    """A chain of transforms, built once, drawn anew at each call.

    Args:
        steps: configs in the order of application, such as `[dict(type='PILResize', height=286,
            width=286), dict(type='RandomCrop', height=256, width=256),
            dict(type='HorizontalFlip', p=0.5)]`.

    Raises:
        ConfigError: see `build_transform`.
    """

    def __init__(self, steps: Iterable[Mapping[str, Any] | Transform] = ()) -> None:
        self.steps = [build_transform(step) for step in steps]
        self._compose = A.Compose(self.steps)

    def load_size(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) that a leading `PILResize` gives a picture; without one, its own."""
        first = self.steps[0] if self.steps else None
        if isinstance(first, PILResize) and first.p == 1:
            return first.new_size(height, width)
        return height, width

    def __call__(
        self, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator, name: str = "picture"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Apply the chain to an image and its labels or condition maps alike.

        Args:
            image: (H, W, 3) uint8.
            labels: (H, W), or (H, W, C) maps.
            rng: decides every random choice; draws are taken from it.
            name: what to call the picture in an error.

        Returns:
            image (H', W', 3) uint8 and labels (H', W') or maps (H', W', C).

        Raises:
            DataError: the picture does not suit a step, being smaller than the crop for example.
            ConfigError: the chain returns something else than an 8-bit image.
        """
        # `set_random_seed` would give every step the same seed: flips would follow the crops.
        self._compose.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        try:
            done = self._compose(image=image, mask=labels)
        except ToolkitError:
            raise
        # Each transform has errors of its own kind; albumentations' share no base.
        except Exception as error:
            raise DataError(
                f"{name}: geometry {self} cannot be applied to {image.shape[0]}x{image.shape[1]} "
                f"(height x width) pixels: {error}; enlarge the picture first (PILResize), or "
                f"change `geometry`"
            ) from error
        image, labels = done["image"], done["mask"]
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[:2] != labels.shape[:2]:
            raise ConfigError(
                f"geometry {self} returns an image of {image.dtype} {image.shape} with labels "
                f"{labels.shape}; allowed is uint8 (H, W, 3) with (H, W, ...): drop steps such as "
                f"Normalize or ToTensorV2, the data set does both itself"
            )
        return image, labels

    def __repr__(self) -> str:
        return "[" + ", ".join(type(step).__name__ for step in self.steps) + "]"


def _transform_class(name: str) -> Any:
    if "." in name:
        return TRANSFORMS.get(name)
    TRANSFORMS.import_from_location()
    # Not `TRANSFORMS.get`: it would reach mmcv's transforms of the same names.
    if name in TRANSFORMS.module_dict:
        return TRANSFORMS.module_dict[name]
    found = getattr(A, name, None)
    if _is_transform(found):
        return found
    known = [key for key, value in vars(A).items() if _is_transform(value)]
    known += list(TRANSFORMS.module_dict)
    raise ConfigError(
        f"unknown transform {name!r} in geometry{near_matches(name, known)}; allowed are the "
        f"toolkit's ({', '.join(sorted(TRANSFORMS.module_dict))}) and albumentations' class names"
    )


def _is_transform(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, A.BasicTransform | A.BaseCompose)
