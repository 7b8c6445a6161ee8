"""Saving checkpoints, the oldest of which goes only once the newest is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as MMCheckpointHook
from mmengine.runner import Runner

from mcltoolkit.errors import ConfigError
from mcltoolkit.files import write_atomically
from mcltoolkit.registry import HOOKS


@HOOKS.register_module()
class CheckpointHook(MMCheckpointHook):
    """mmengine's hook, with its settings, safe against full disks and kills.

    mmengine's deletes the oldest file before it writes the newest, which leaves none if that
    fails, and writes nothing on demand.
    """

    def before_train(self, runner: Runner) -> None:
        """Remove what a killed run has left half-written.

        Raises:
            ConfigError: the interval would end in the middle of accumulated batches.
        """
        super().before_train(runner)
        window = getattr(runner.optim_wrapper, "window", 1)
        counts = {"default_hooks.checkpoint.interval": max(self.interval, 0)}
        counts["default_hooks.checkpoint.save_begin"] = self.save_begin
        if runner.val_loop is not None and runner.train_loop.val_interval < runner.max_iters:
            counts["train_cfg.val_interval"] = runner.train_loop.val_interval
        for name, count in counts.items():
            if not self.by_epoch and count % window:
                raise ConfigError(
                    f"{name} is {count}, and the optimisers step every {window} batches "
                    f"(accumulative_counts); allowed are multiples of {window}, since a "
                    f"checkpoint holds no gradients"
                )
        self.saved_step: int | None = None
        if is_main_process() and "://" not in self.out_dir:
            pattern = f".{self.filename_tmpl.format('*')}.*.tmp"
            for partial in Path(self.out_dir).glob(pattern):
                runner.logger.info(f"removing {partial}, which a killed run has left half-written")
                partial.unlink(missing_ok=True)

    def save_now(self, runner: Runner) -> str:
        """Save the steps done so far, unless they are saved; between two steps only.

        Returns:
            The file's path.
        """
        if self.saved_step != runner.iter:
            meta = {"epoch": runner.epoch, "iter": runner.iter}
            self._save_checkpoint_with_step(runner, runner.iter, meta)
        return str(self.last_ckpt)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        outdated = self._note(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        meta.setdefault("epoch", runner.epoch + 1 if self.by_epoch else runner.epoch)
        meta.setdefault("iter", runner.iter if self.by_epoch else runner.iter + 1)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            backend_args=self.backend_args,
        )
        self.saved_step = step
        if is_main_process():
            for old in outdated:
                path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
                if self.file_backend.isfile(path):
                    self.file_backend.remove(path)
            write_atomically(Path(runner.work_dir, "last_checkpoint"), self.last_ckpt.encode())

    def _note(self, runner: Runner, step: int) -> list[int]:
        """Count `step` among the files to keep; returns those that are too many then."""
        if self.max_keep_ckpts <= 0:
            return []
        kept = [number for number in self.keep_ckpt_ids if number != step] + [step]
        outdated, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
        self.keep_ckpt_ids.clear()
        self.keep_ckpt_ids.extend(kept)
        runner.message_hub.update_info("keep_ckpt_ids", kept)
        return outdated
