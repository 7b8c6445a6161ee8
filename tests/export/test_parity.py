"""Exported files against the model in memory, run here, beside the export's own check."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mcltoolkit.inference import load_model
from mcltoolkit.structures import Batch

FAMILIES = ("scenes", "ade20k", "deepfashion")


def made_up(model, size, batch, seed):
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(model.channels, (2, batch, *size), generator=random)
    one_hot = torch.nn.functional.one_hot(labels, model.channels).movedim(-1, 2).float()
    inputs = {
        "condition": one_hot[0],
        "exemplar": torch.rand(batch, 3, *size, generator=random) * 2 - 1,
    }
    if model.needs_exemplar_condition:
        inputs["exemplar_condition"] = one_hot[1]
    return inputs


@torch.no_grad()
def in_memory(model, inputs):
    count = len(inputs["exemplar"])
    batch = Batch(names=["a"] * count, paired=torch.zeros(count, dtype=torch.bool), **inputs)
    translation = model.translator(batch)
    return translation.fake, translation.alignment.warped


@pytest.mark.parametrize("family", FAMILIES)
def test_files_give_the_model_s_outputs_at_any_batch(family, exported):
    """Largest difference 1e-4, images in [-1, 1], float32."""
    checkpoint, folder = exported(family)
    model = load_model(checkpoint, "cpu")
    size = (32, 32) if family == "scenes" else (32, 48)
    runs = []
    if (folder / "model.onnx").exists():
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        runs.append(lambda given: session.run(None, {k: v.numpy() for k, v in given.items()}))
    if (folder / "model.pt2").exists():
        program = torch.export.load(folder / "model.pt2").module()
        runs.append(lambda given: [x.detach().numpy() for x in program(*given.values())])
    assert len(runs) == 1 + (family == "scenes")
    for batch in (1, 2, 5):
        inputs = made_up(model, size, batch, seed=batch)
        expected = in_memory(model, inputs)
        for image in expected:
            assert image.std() > 0.02, "a comparison of constants would tell nothing"
        for run in runs:
            for ours, theirs in zip(expected, run(inputs), strict=True):
                np.testing.assert_allclose(theirs, ours.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["scenes", "deepfashion"])
def test_the_onnx_file_says_what_it_is(family, exported):
    _, folder = exported(family)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    shapes = {
        port.name: [d.dim_param or d.dim_value for d in port.type.tensor_type.shape.dim]
        for port in (*model.graph.input, *model.graph.output)
    }
    width, channels = {"scenes": (32, 6), "deepfashion": (48, 4)}[family]
    expected = {"condition": channels, "exemplar": 3, "image": 3, "warped": 3}
    if family != "deepfashion":
        expected["exemplar_condition"] = channels
    assert shapes == {name: ["batch", c, 32, width] for name, c in expected.items()}


def test_large_weights_lie_beside_the_graph(exported):
    _, folder = exported("deepfashion")
    graph, data = (folder / name for name in ("model.onnx", "model.onnx.data"))
    assert graph.stat().st_size < data.stat().st_size
    assert not (exported("scenes")[1] / "model.onnx.data").exists()


def test_files_name_no_folder_of_this_machine(exported, root):
    import zipfile

    _, folder = exported("scenes")
    texts = [(folder / "model.onnx").read_bytes()]
    with zipfile.ZipFile(folder / "model.pt2") as archive:
        texts += [archive.read(name) for name in archive.namelist()]
    assert len(texts) > 3
    assert not any(str(root).encode() in text or b"site-packages" in text for text in texts)
