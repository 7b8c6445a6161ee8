"""The main job on embedded data: train MCL-Net on synthetic scenes, test it, write the report.

Without pretrained features the objective uses terms that need none: pixel pseudo-pair, adversarial
with feature matching, cycle, marginal contrast and mask.
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mmengine.config import DictAction

from mcltoolkit.engine.checkpoints import latest_checkpoint
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import (
    run_tool,
    scalars_file,
    test,
    train,
)
from mcltoolkit.metrics.results import Result, read_results, write_results

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Test the untrained network, train, test, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work-dir", default="work_dirs/demo")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    options = parser.parse_args()
    work_dir = Path(options.work_dir)
    config = load_config(
        ROOT / "configs" / "mclnet_scenes.py", options.cfg_options, work_dir=str(work_dir)
    )
    config.log_level = "ERROR"  # the bar tells enough; scalars are recorded all the same
    config.custom_hooks.append(dict(type="ProgressBarHook"))

    print("==> 1/3 the untrained network, for comparison", flush=True)
    untrained = test(config, None, out_dir=str(work_dir / "untrained"))
    print("==> 2/3 training (losses: " + ", ".join(sorted(_losses(config))) + ")", flush=True)
    started = time.perf_counter()
    runner = train(config)
    seconds = time.perf_counter() - started
    print("==> 3/3 testing on held-out scenes", flush=True)
    metrics = test(
        config,
        latest_checkpoint(work_dir),
        out_dir=str(work_dir),
        title="MCL-Net on synthetic scenes",
        scalars_file=scalars_file(work_dir),
        facts={
            "training steps": runner.max_iters,
            "training time": f"{seconds:.0f} s",
            "PSNR of the untrained network": f"{untrained['psnr']:.2f} dB",
            "losses": ", ".join(sorted(_losses(config))),
            "pretrained features": "none: VGG-19 terms are replaced by pixel terms in this demo",
        },
    )
    results = read_results(work_dir / "metrics.json")
    before = read_results(work_dir / "untrained" / "metrics.json")
    results["psnr_untrained"] = before["psnr"]
    timing = {"protocol": "wall-clock-seconds-1", "steps": runner.max_iters}
    results["train_seconds"] = Result(seconds, timing)
    write_results(work_dir / "metrics.json", results)
    print(
        f"\nOutput against truth       {metrics['psnr']:6.2f} dB"
        f"\nExemplar copied as it is   {metrics['psnr_copy_exemplar']:6.2f} dB"
        f"\nUntrained network          {untrained['psnr']:6.2f} dB"
        f"\nLabels matched right       {100 * metrics['label_accuracy']:6.1f} %"
        f"\n\nOpen {work_dir / 'report.html'} in a browser; numbers are in "
        f"{work_dir / 'metrics.json'}, pictures in {work_dir / 'grids'}."
    )


def _losses(config) -> list[str]:
    return [name for name, loss in config.model.losses.items() if loss and loss.get("weight", 1)]


if __name__ == "__main__":
    run_tool(main)
