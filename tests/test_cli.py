import pytest

from mcltoolkit.cli import main


def test_explain_prints_four_tables(tiny_config, capsys):
    main(["explain", str(tiny_config), "--cfg-options", "model.losses.mcl.margin=0.1"])
    printed = capsys.readouterr().out
    titles = ["Model of", "Losses", "Training", "Settings"]
    assert [t for t in titles if f"\n{t}" in f"\n{printed}"] == titles
    (line,) = [line for line in printed.splitlines() if "model.losses.mcl.margin " in line]
    assert line.split()[1:] == ["model.losses.mcl.margin", "|", "--cfg-options", "|", "0.1", "|"]


def test_diff_prints_what_differs_alone(root, capsys):
    full, ablation = (
        str(root / "configs" / name) for name in ("mclnet_ade20k.py", "ablations/ade20k_wo_map.py")
    )
    main(["explain", full, "--diff", ablation])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| model.")]
    assert len(rows) == 1
    assert rows[0].startswith("| model.self_correlation | {'type': 'SelfCorrelationMap'")
    assert rows[0].rstrip(" |").endswith("None")


def test_size_and_errors(tiny_config, capsys):
    main(["explain", str(tiny_config), "--size", "48", "32"])
    assert "3 x 48 x 32" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["explain", "configs/no_such.py"])
    assert ended.value.code == 2
    assert "config configs/no_such.py does not exist" in capsys.readouterr().err
