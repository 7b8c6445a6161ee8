from setuptools import setup

setup(
    name="paint-extras",
    version="1.0",
    packages=["paint_extras"],
    entry_points={"mcltoolkit.plugins": ["paint_extras = paint_extras"]},
)
