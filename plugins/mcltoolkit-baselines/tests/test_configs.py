import pytest
import torch

from mcltoolkit.ablation import plan, read_matrix
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import explain
from mcltoolkit.engine.launch import test as run_test
from mcltoolkit.engine.launch import train
from mcltoolkit.errors import ConfigError, LossWiringError
from mcltoolkit.inference import load_model, translate
from mcltoolkit.plugins import plugin_reports
from mcltoolkit.registry import CORRESPONDENCES, GENERATORS, LOSSES, MODELS

PLUGIN = "mcltoolkit_baselines"
NAMES = [
    f"{model}_{data}"
    for model in ("spade", "spade_vae", "pix2pixhd")
    for data in ("scenes", "ade20k")
]
SMALL = {
    "train_dataloader.batch_size": 2,
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "train_dataloader.dataset.length": 8,
    "train_dataloader.dataset.size": (32, 32),
    "val_dataloader.batch_size": 2,
    "val_dataloader.dataset.length": 2,
    "val_dataloader.dataset.size": (32, 32),
    "test_dataloader.batch_size": 2,
    "test_dataloader.dataset.length": 3,
    "test_dataloader.dataset.size": (32, 32),
    "train_cfg.max_iters": 2,
    "train_cfg.val_interval": 2,
    "default_hooks.checkpoint.interval": 2,
    "default_hooks.logger.interval": 1,
    "model.generator.base_width": 4,
    "model.discriminator.base_width": 4,
    "model.discriminator.scales": 1,
}
FORMS = {
    "spade": {"model.generator.ups": 2, "model.generator.spade_hidden": 4},
    "spade_vae": {
        "model.generator.ups": 2,
        "model.generator.spade_hidden": 4,
        "model.generator.style": dict(style_channels=8, base_width=4, layers=3),
    },
    "pix2pixhd": {"model.generator.downs": 2, "model.generator.blocks": 1},
}


def test_the_plugin_registers_its_components():
    registered = (
        (CORRESPONDENCES, "IdentityCorrespondence"),
        (GENERATORS, "SPADEImageGenerator"),
        (GENERATORS, "Pix2PixHDGenerator"),
        (LOSSES, "StyleKLLoss"),
        (LOSSES, "VGGReconstructionLoss"),
    )
    owner = next(r.name for r in plugin_reports() if r.name in ("baselines", PLUGIN))
    for registry, name in registered:
        assert registry.get(name).__module__.startswith(f"{PLUGIN}.")
        assert registry.origin(name) in (owner, PLUGIN)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_explained(configs, name):
    found = explain(configs / f"{name}.py")
    parts = {part.name: part for part in found.parts}
    assert found.device == "meta"
    assert set(parts) - {"vgg"} == {"correspondence", "generator", "discriminator"}
    height, width = found.size
    assert parts["generator"].output.startswith(f"3 x {height} x {width}")
    assert ("style_mean" in parts["generator"].output) == ("vae" in name)
    assert ("kl" in {term.name for term in found.terms}) == ("vae" in name)


def test_the_style_s_start_fits_the_data(configs):
    for name in ("spade_vae_scenes", "spade_vae_ade20k"):
        found = explain(configs / f"{name}.py")
        settings = load_config(configs / f"{name}.py").model.generator
        with torch.device("meta"):
            stride = GENERATORS.build({**settings, "context_channels": 9}).stride
        assert tuple(settings.start_grid) == tuple(side // stride for side in found.size)


def test_the_comparison_is_planned(configs, tmp_path):
    runs = plan(read_matrix(configs / "compare.yaml"), tmp_path)
    assert len({run.title.split(",")[0] for run in runs}) >= 4


@pytest.mark.parametrize("form", list(FORMS))
def test_a_tiny_training_its_test_and_a_translation(configs, tmp_path, form):
    work = tmp_path / "work"
    options = SMALL | FORMS[form]
    train(load_config(configs / f"{form}_scenes.py", options, work_dir=str(work)))
    checkpoint = work / "iter_2.pth"
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in state.values())

    config = load_config(configs / f"{form}_scenes.py", options, work_dir=str(work))
    metrics = run_test(config, str(checkpoint), out_dir=str(tmp_path / "out"))
    assert metrics["psnr"] > 0
    assert (tmp_path / "out" / "report.html").is_file()

    model = load_model(checkpoint, "cpu")
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(6, (32, 32), generator=generator).byte().numpy()
    photos = torch.randint(256, (2, 48, 40, 3), generator=generator).byte().numpy()
    outputs = [translate(labels, photo, model).prediction.fake for photo in photos]
    assert outputs[0].shape == (3, 32, 32)
    # only the style encoder lets the exemplar in
    assert torch.equal(*outputs) == (form != "spade_vae")


def test_pix2pixhd_paints_for_a_correspondence(configs):
    config = load_config(configs / "compare" / "mclnet.py")
    config.model.generator = dict(
        type="Pix2PixHDGenerator", use_warped=True, base_width=4, downs=2, blocks=1
    )
    with torch.device("meta"):
        translator = MODELS.build({**config.model, "vgg": None, "losses": {}}).translator
    assert translator.generator.coarse[0][0].weight.shape[1] == 3 + translator.condition_channels


def test_losses_that_nothing_feeds_are_refused(configs):
    config = load_config(configs / "spade_scenes.py", SMALL | FORMS["spade"])
    config.model.losses.kl = dict(type="StyleKLLoss")
    with pytest.raises(ConfigError, match=r"\['kl'\] read 'style_logvar'"):
        MODELS.build(config.model)
    config.model.losses.kl = dict(type="FeatureConsistencyLoss")
    with pytest.raises(ConfigError, match=r"\['kl'\] read 'truth_features'"):
        MODELS.build(config.model)


def test_losses_on_the_trivial_match_are_found_dead(configs, tmp_path):
    options = SMALL | FORMS["spade"]
    config = load_config(configs / "spade_scenes.py", options, work_dir=str(tmp_path))
    config.model.losses.cyc = dict(type="CycleLoss")
    with pytest.raises(LossWiringError, match="cyc"):
        train(config)
