"""Installation of mcltoolkit-contrast."""

from pathlib import Path

from setuptools import setup

setup(
    name="mcltoolkit-contrast",
    version="0.1.0",
    description="PatchNCE, MoNCE and other margins: contrastive losses for mcltoolkit",
    long_description=(Path(__file__).parent / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["mcltoolkit_contrast"],
    package_data={"mcltoolkit_contrast": ["py.typed"]},
    install_requires=["mcltoolkit", "torch>=2.4"],
    extras_require={"test": ["pytest>=8", "POT>=0.9"]},
    entry_points={"mcltoolkit.plugins": ["contrast = mcltoolkit_contrast"]},
)
