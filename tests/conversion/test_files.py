import pickle

import pytest
import torch

from mcltoolkit.conversion import convert_files, read_released, summary, write_cocosnet
from mcltoolkit.errors import ConfigError, WeightsError

FILES = {"generator": "G", "alignment": "Corr", "discriminator": "D"}


@pytest.fixture
def folder(cocosnet, tmp_path):
    states = cocosnet.make(**cocosnet.TASKS["deepfashion"])
    for network, label in FILES.items():
        torch.save(states[network], tmp_path / f"10_net_{label}.pth")
    return tmp_path


def convert(folder, **changed):
    paths = {network: folder / f"10_net_{label}.pth" for network, label in FILES.items()}
    out = folder / "out" / "ours.pth"
    return convert_files("deepfashion", **{"out": out, **paths, **changed})


def test_files_go_there_and_back(folder):
    made = convert(folder)
    read = torch.load(folder / "out" / "ours.pth", weights_only=True)
    assert read["config"] == made["config"]
    files, notes = write_cocosnet(folder / "out" / "ours.pth", folder / "back")
    assert [file.name for file in files] == [f"latest_net_{label}.pth" for label in FILES.values()]
    assert notes == []
    for file, label in zip(files, FILES.values(), strict=True):
        ours = torch.load(file, weights_only=True)
        theirs = torch.load(folder / f"10_net_{label}.pth", weights_only=True)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert not list(folder.rglob("*.tmp"))


def test_what_a_training_here_leaves_out_is_said(folder):
    content = convert(folder)
    content["cocosnet"]["unused"] = {}
    content["state_dict"]["losses.terms.mcl.head.weight"] = torch.zeros(1)
    torch.save(content, folder / "trained.pth")
    _, (left_out, decoder) = write_cocosnet(folder / "trained.pth", folder / "back")
    assert "left out" in left_out
    assert "losses.terms.mcl.head.weight" in left_out
    assert "without the decoder" in decoder


def test_files_that_exist_are_not_replaced_unasked(folder):
    convert(folder)
    back = folder / "back"
    back.mkdir()
    for label in ("G", "D"):
        (back / f"latest_net_{label}.pth").write_text(f"original {label}")
    content = torch.load(folder / "out" / "ours.pth", weights_only=True)
    state = content["state_dict"]
    content["state_dict"] = {k: v for k, v in state.items() if k.startswith("translator.")}
    torch.save(content, folder / "no_d.pth")
    with pytest.raises(ConfigError, match=r"latest_net_D\.pth, .*latest_net_G\.pth exist.*another"):
        write_cocosnet(folder / "no_d.pth", back)
    assert (back / "latest_net_G.pth").read_text() == "original G"
    assert not (back / "latest_net_Corr.pth").exists()
    files, notes = write_cocosnet(folder / "no_d.pth", back, overwrite=True)
    assert {file.name for file in files} == {"latest_net_G.pth", "latest_net_Corr.pth"}
    assert notes == [f"left as they were, not of this checkpoint: {back / 'latest_net_D.pth'}"]
    assert (back / "latest_net_D.pth").read_text() == "original D"


def test_a_checkpoint_that_exists_is_not_replaced_unasked(folder):
    (folder / "there.pth").write_text("mine")
    with pytest.raises(ConfigError, match=r"there\.pth exists; .*--overwrite"):
        convert(folder, out=folder / "there.pth")
    assert (folder / "there.pth").read_text() == "mine"
    convert(folder, out=folder / "there.pth", overwrite=True)
    assert "config" in torch.load(folder / "there.pth", weights_only=True)
    with pytest.raises(ConfigError, match=r"10_net_G\.pth is a file to convert"):
        convert(folder, out=folder / "out" / ".." / "10_net_G.pth", overwrite=True)


def test_torch_s_own_spectral_norm_and_its_versions_survive(tmp_path):
    old = torch.nn.utils.spectral_norm(torch.nn.Conv2d(2, 3, 3))
    torch.save(old.state_dict(), tmp_path / "old.pth")
    state = read_released(tmp_path / "old.pth")
    assert state._metadata[""]["spectral_norm"] == {"weight.version": 1}


def test_the_summary_says_what_happened_to_the_decoder(folder):
    text = summary(convert(folder))
    assert "task deepfashion: 4 condition channels" in text
    assert "decoder, which no forward pass uses, is carried beside the model" in text
    assert "base_width=4" in text
    without = convert(folder, discriminator=None, out=folder / "without.pth")
    assert "none given" in summary(without)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state_dict": {"fc.weight": torch.zeros(1)}}, "holds state_dict beside or around"),
        ({"module.fc.weight": torch.zeros(1)}, "begin with 'module.'"),
        ([torch.zeros(1)], "holds list, not a state dict"),
        ({}, "not a state dict"),
    ],
)
def test_other_contents_are_refused(tmp_path, content, words):
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=words):
        read_released(tmp_path / "file.pth")


class Harmful:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    torch.save({"fc.weight": Harmful()}, tmp_path / "file.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Harmful()))
    for name in ("file.pth", "raw.pth"):
        with pytest.raises(
            WeightsError,
            match=f"{name} (cannot be read|holds pickled objects)",
        ):
            read_released(tmp_path / name)
    assert "never" not in capsys.readouterr().out


def test_missing_and_broken_files(folder):
    with pytest.raises(WeightsError, match=r"none\.pth does not exist"):
        convert(folder, generator=folder / "none.pth")
    broken = folder / "broken.pth"
    broken.write_bytes((folder / "10_net_G.pth").read_bytes()[:-3000])
    with pytest.raises(WeightsError, match=r"broken\.pth is truncated"):
        convert(folder, generator=broken)
    with pytest.raises(WeightsError, match="belong together"):
        convert(folder, average_generator=folder / "10_net_G.pth")
    with pytest.raises(WeightsError, match="no 'state_dict'"):
        write_cocosnet(folder / "10_net_G.pth", folder / "back")
