"""Installation of my-plugin."""

from setuptools import setup

setup(
    name="my-plugin",
    version="0.1.0",
    python_requires=">=3.10",
    packages=["my_plugin"],
    package_data={"my_plugin": ["py.typed"]},
    install_requires=["mcltoolkit"],
    extras_require={"test": ["pytest>=8", "mcltoolkit[metrics]"]},
    entry_points={"mcltoolkit.plugins": ["my_entry = my_plugin"]},
)
