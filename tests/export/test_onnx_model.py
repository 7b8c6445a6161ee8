"""ONNX files that onnx or ONNX Runtime refuse are errors with a next step."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from mcltoolkit.errors import ConfigError
from mcltoolkit.export.onnx_model import _check, open_onnx


def write(path, operation="Relu", ir_version=8, opset=18):
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in ("x", "image")]
    nodes = [helper.make_node(operation, ["x"], ["image"])]
    graph = helper.make_graph(nodes, "graph", value[:1], value[1:])
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, ir_version=ir_version, opset_imports=opsets)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_file_that_onnx_s_checker_refuses(tmp_path):
    file = write(tmp_path / "model.onnx")
    _check(file, 18)
    with pytest.raises(ConfigError, match="torch wrote .*18.* where --opset 19 was asked for"):
        _check(file, 19)
    for broken in (write(tmp_path / "other.onnx", "NoSuchOperator"), tmp_path / "cut.onnx"):
        if broken.name == "cut.onnx":
            broken.write_bytes(file.read_bytes()[:-5])
        with pytest.raises(
            ConfigError, match=rf"{broken.name}, .* opset 18, is no valid .*another --opset"
        ):
            _check(broken, 18)


def test_a_file_that_onnx_runtime_cannot_open_or_run(tmp_path):
    step = r"newer onnxruntime, or .*--format torch-export"
    with pytest.raises(ConfigError, match=rf"cannot run new\.onnx: .*{step}"):
        open_onnx(write(tmp_path / "new.onnx", ir_version=10_000))
    run = open_onnx(write(tmp_path / "model.onnx"))
    with pytest.raises(ConfigError, match=rf"cannot run model\.onnx: .*{step}"):
        run({"x": torch.from_numpy(np.zeros(3, np.float64))})
