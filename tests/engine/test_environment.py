import platform
from importlib.metadata import version

import torch

from mcltoolkit.engine.environment import environment


def test_versions_are_those_of_the_packages():
    found = environment()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["mmengine"] == version("mmengine")
    assert found["Python"] == platform.python_version()
    assert int(found["threads"]) == torch.get_num_threads()
