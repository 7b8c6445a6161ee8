import subprocess
import sys

import pytest


def test_the_top_level_has_the_functions_of_inference():
    import mcltoolkit
    from mcltoolkit import inference

    assert mcltoolkit.load_model is inference.load_model
    assert mcltoolkit.translate is inference.translate
    with pytest.raises(AttributeError, match="no attribute 'translator'"):
        _ = mcltoolkit.translator


def test_the_top_level_alone_imports_neither_inference_nor_models():
    code = (
        "import sys, mcltoolkit\n"
        "print([m for m in sys.modules if m.startswith('mcltoolkit.') and"
        " m.split('.')[1] in ('inference', 'models', 'data', 'visualization')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
