"""Conformance tests for components, for plugin authors and for the toolkit itself.

Derive a class in a test file and name the component; pytest runs what it inherits:

    from mcltoolkit.testing import LossTests

    class TestMyLoss(LossTests):
        component = "MyLoss"
        settings = dict(weight=0.5)

The distributed tests run in processes of their own, which know the class attributes but no methods
that a derived class overrides.
"""

from mcltoolkit.testing.correspondences import CorrespondenceTests
from mcltoolkit.testing.losses import LossTests
from mcltoolkit.testing.networks import (
    DescriptorTests,
    DiscriminatorTests,
    EncoderTests,
    GeneratorTests,
)

__all__ = [
    "CorrespondenceTests",
    "DescriptorTests",
    "DiscriminatorTests",
    "EncoderTests",
    "GeneratorTests",
    "LossTests",
]
