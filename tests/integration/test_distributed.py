"""tools/dist_train.sh and tools/dist_test.sh with two CPU ranks."""

import json

import pytest
import torch

from mcltoolkit.engine.launch import read_metrics

pytestmark = pytest.mark.integration


def shown_samples(folder):
    content = json.loads((folder / "record" / "samples.json").read_text())
    return [(sample["name"], sample["groups"]) for sample in content["samples"]]


DUMP = """
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mcltoolkit import HOOKS, hookimpl
from mcltoolkit.models.exemplar_gan import unwrap

@HOOKS.register_module()
class DumpRankHook(Hook):
    def __init__(self, folder):
        self.folder = folder
    def after_train(self, runner):
        model = unwrap(runner.model)
        with model.without_wrappers():
            torch.save(model.state_dict(), f"{self.folder}/rank{get_rank()}.pt")

@hookimpl
def register_components():
    pass
"""


def test_two_ranks_train_resume_and_test(tool, tiny_config, tmp_path):
    (tmp_path / "dump_rank.py").write_text(DUMP)
    config = tmp_path / "two_ranks.py"
    config.write_text(
        f"_base_ = {str(tiny_config)!r}\n"
        "plugins = ['dump_rank']\n"
        "custom_hooks = [dict(type='LossAuditHook'),\n"
        f"    dict(type='DumpRankHook', folder={str(tmp_path)!r})]\n"
        "model = dict(generator=dict(spade_norm='syncbn'))\n"
        "train_cfg = dict(max_iters=4)\n"
    )
    work = tmp_path / "work"
    path = {"PYTHONPATH": str(tmp_path)}
    tool("tools/dist_train.sh", config, "2", "--work-dir", work, **path)
    ranks = [torch.load(tmp_path / f"rank{r}.pt", weights_only=True) for r in range(2)]
    checkpoint = torch.load(work / "iter_4.pth", weights_only=True)
    saved = checkpoint["state_dict"]
    assert not [key for key in saved if ".module." in key]
    assert saved.keys() == ranks[0].keys()
    for key, value in ranks[0].items():
        assert torch.equal(value, ranks[1][key]), f"ranks differ in {key}"
        assert torch.equal(value, saved[key]), f"the checkpoint differs in {key}"

    (work / "iter_4.pth").unlink()
    done = tool("tools/dist_train.sh", config, "2", "--work-dir", work, "--resume", **path)
    assert "iter: 2" in done.stdout + done.stderr
    resumed = torch.load(work / "iter_4.pth", weights_only=True)["state_dict"]
    for key, value in saved.items():
        assert torch.equal(value, resumed[key]), f"resuming changed {key}"

    tool("tools/dist_test.sh", config, work / "iter_4.pth", "2", "--work-dir", work, **path)
    two = read_metrics(work / "test" / "metrics.json")
    samples_of_two = shown_samples(work / "test")
    tool("tools/dist_test.sh", config, work / "iter_4.pth", "1", "--work-dir", work, **path)
    one = read_metrics(work / "test" / "metrics.json")
    assert two.keys() == one.keys()
    for name, value in one.items():
        assert two[name] == pytest.approx(value, rel=1e-4), name
    samples_of_one = shown_samples(work / "test")
    assert samples_of_two == samples_of_one
    assert {group for _, groups in samples_of_one for group in groups} > {"best", "worst"}
