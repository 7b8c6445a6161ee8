"""Installation of mcltoolkit-cocosnet2."""

from pathlib import Path

from setuptools import setup

setup(
    name="mcltoolkit-cocosnet2",
    version="0.1.0",
    description="Hierarchical correspondence to full resolution (CoCosNet v2) for mcltoolkit",
    long_description=(Path(__file__).parent / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["mcltoolkit_cocosnet2"],
    package_data={"mcltoolkit_cocosnet2": ["py.typed"]},
    install_requires=["mcltoolkit"],
    extras_require={"test": ["pytest>=8"]},
    entry_points={"mcltoolkit.plugins": ["cocosnet2 = mcltoolkit_cocosnet2"]},
)
