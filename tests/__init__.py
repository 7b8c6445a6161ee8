"""A package, since torch-fidelity 0.4.0 installs one of the same name: the ranks of a test import
its functions by name, and a folder without this file would lose against that one."""
