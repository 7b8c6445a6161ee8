"""Installation of mcltoolkit-baselines."""

from pathlib import Path

from setuptools import setup

setup(
    name="mcltoolkit-baselines",
    version="0.1.0",
    description="SPADE, SPADE with a style encoder and pix2pixHD as baselines for mcltoolkit",
    long_description=(Path(__file__).parent / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["mcltoolkit_baselines"],
    package_data={"mcltoolkit_baselines": ["py.typed"]},
    install_requires=["mcltoolkit"],
    extras_require={"test": ["pytest>=8", "torchmetrics>=1.4,<2"]},
    entry_points={"mcltoolkit.plugins": ["baselines = mcltoolkit_baselines"]},
)
