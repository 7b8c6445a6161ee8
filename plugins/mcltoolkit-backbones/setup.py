"""Installation of mcltoolkit-backbones."""

from pathlib import Path

from setuptools import setup

setup(
    name="mcltoolkit-backbones",
    version="0.1.0",
    description="Encoders for mcltoolkit from any timm model, with a decoder to the match's grid",
    long_description=(Path(__file__).parent / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["mcltoolkit_backbones"],
    package_data={"mcltoolkit_backbones": ["py.typed"]},
    install_requires=["mcltoolkit", "torch>=2.4", "timm>=1.0.9,<2", "safetensors>=0.4"],
    extras_require={"test": ["pytest>=8"]},
    entry_points={"mcltoolkit.plugins": ["backbones = mcltoolkit_backbones"]},
)
