"""Installation of mcltoolkit."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "mcltoolkit/__init__.py").read_text(), re.MULTILINE
).group(1)
QUALITY = ["torchmetrics>=1.4,<2"]
METRICS = [*QUALITY, "torch-fidelity>=0.4,<0.5", "lpips>=0.1.4,<0.2"]
EXPORT = ["onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"]
WEB = ["gradio>=6,<7"]
WANDB = ["wandb>=0.19"]
DOCS = ["sphinx>=8,<10", "myst-parser>=4,<6", "furo>=2024.8.6", "latex2mathml>=3.77"]
CHECKS = [
    "pytest>=8",
    "pytest-xdist>=3.5",
    "ruff>=0.6",
    "mypy>=1.11",
    "pre-commit>=3.5",
    "selenium>=4.20",
]


class BuildWithConfigs(build_py):
    """Puts the configs into the package, where `mcltoolkit::NAME` finds them without a clone."""

    def run(self):
        """Copy the modules, then the configs; an editable installation finds them in the clone."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "mcltoolkit", "configs")
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(ROOT / "configs", target, ignore=shutil.ignore_patterns("__pycache__"))

    def get_source_files(self):
        """What a source distribution has to hold."""
        configs = (file for file in (ROOT / "configs").rglob("*") if file.is_file())
        return [*super().get_source_files(), *(str(file.relative_to(ROOT)) for file in configs)]


setup(
    name="mcltoolkit",
    version=VERSION,
    description="Exemplar-guided image translation: MCL-Net and CoCosNet from plugin-able parts",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["mcltoolkit", "mcltoolkit.*"]),
    package_dir={"": "."},  # a plain path: scripts beside a clone of that name find it, too
    cmdclass={"build_py": BuildWithConfigs},
    package_data={"mcltoolkit": ["py.typed", "plugin_template/*/*", "web/assets/*"]},
    install_requires=[
        "torch>=2.4",
        "torchvision>=0.19",
        "mmengine>=0.10.7,<0.12",
        "mmcv-lite>=2.2.0",  # the pure-Python build of mmcv; nothing here needs compiled ops
        "timm>=1.0,<2",
        "albumentations>=2.0.8,<2.1",
        "scikit-image>=0.22,<1",
        "pluggy>=1.5,<2",
        "pyyaml>=6",
        "filelock>=3.12",
        "numpy>=1.24",
        "pillow>=10.4",
        "matplotlib>=3.7",
        "rich>=13",
        "tensorboard>=2.14",
    ],
    extras_require={
        "demo": QUALITY,  # what tools/demo.sh needs
        "metrics": METRICS,
        "export": EXPORT,
        "web": WEB,  # `mcltoolkit demo`
        "wandb": WANDB,
        "docs": DOCS,
        "dev": [*METRICS, *EXPORT, *WEB, *WANDB, *DOCS, *CHECKS],
        "mmcv": ["mmcv>=2.1"],  # compiled ops, for plugins that want them
    },
    entry_points={"console_scripts": ["mcltoolkit=mcltoolkit.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
