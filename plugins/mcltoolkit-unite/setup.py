"""Installation of mcltoolkit-unite."""

from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent

setup(
    name="mcltoolkit-unite",
    version="0.1.0",
    description="Unbalanced optimal transport (UNITE) as the correspondence of mcltoolkit",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["mcltoolkit_unite"],
    package_data={"mcltoolkit_unite": ["py.typed"]},
    install_requires=["mcltoolkit", "torch>=2.4"],
    extras_require={"test": ["pytest>=8", "POT>=0.9.5"]},
    entry_points={"mcltoolkit.plugins": ["unite = mcltoolkit_unite"]},
)
