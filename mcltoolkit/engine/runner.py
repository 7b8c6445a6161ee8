"""mmengine's Runner with strict loading, whole checkpoints, exact resuming and clean stops."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from mmengine.fileio import copyfile_from_local, get_local_path, join_path
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, load_state_dict
from torch.utils.data import DataLoader

from mcltoolkit.engine.agreement import any_rank
from mcltoolkit.engine.checkpoints import assemble, keep_absent_parts, rebuild_logs
from mcltoolkit.engine.compiling import compile_parts, explain_compiler
from mcltoolkit.engine.config import plain_config
from mcltoolkit.engine.data_loader import build_loader, refuse_skipping
from mcltoolkit.engine.deferred_log import DeferredMessageHub
from mcltoolkit.engine.environment import environment
from mcltoolkit.engine.files import load_plain, save_whole
from mcltoolkit.engine.hooks.evaluation import EvaluationHook
from mcltoolkit.engine.hooks.leave_validation import LeaveValidationHook
from mcltoolkit.engine.hooks.observe import observer_hook
from mcltoolkit.engine.layout import choose_convolutions, lay_out
from mcltoolkit.engine.loops import TranslationTrainLoop
from mcltoolkit.engine.named_settings import NamedSettingsRunner
from mcltoolkit.engine.stopping import StopSignals
from mcltoolkit.errors import ConfigError, OtherRankError, ToolkitError, WeightsError
from mcltoolkit.registry import RUNNERS

NOISE = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias')
"""What mmengine warns itself of."""


@RUNNERS.register_module()
class TranslationRunner(NamedSettingsRunner):
    """Runs trainings and tests of this toolkit.

    Differs from mmengine's Runner in that a checkpoint with missing or unexpected keys is an error,
    that a checkpoint appears under its name only when it is whole and loads without running code,
    that a resumed training is the uninterrupted one bit for bit, that signals to stop are obeyed,
    and that plugins may look on.
    """

    optim_wrapper: Any
    param_schedulers: Any
    timestamps: ClassVar[set[str]] = set()
    """Of the runs of this process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.signals = StopSignals()
        super().__init__(*args, **kwargs)

    def setup_env(self, env_cfg: Any) -> None:
        """Set up the environment; the second run that begins in one second gets a name of its own,
        or mmengine would have it write into the first one's logs and pictures."""
        super().setup_env(env_cfg)
        name, again = self.timestamp, 2
        while name in self.timestamps:
            name, again = f"{self.timestamp}_{again}", again + 1
        self.timestamps.add(name)
        self._timestamp: str = name

    def build_message_hub(self, message_hub: Any = None) -> DeferredMessageHub:
        """A hub that reads nothing from the device before it is read itself."""
        settings = {"name": self._experiment_name, **(message_hub or {})}
        return DeferredMessageHub.get_instance(**settings)

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Any = None) -> None:
        """Register the config's hooks, and one for the plugins that observe the run, if any."""
        super().register_hooks(default_hooks, custom_hooks)
        self.register_hook(EvaluationHook())
        self.register_hook(LeaveValidationHook())
        observers = observer_hook()
        if observers is not None:
            self.register_hook(observers)

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        """mmengine's, with the model laid out in memory as `memory_format` says, and convolutions
        chosen as `winograd` does."""
        choose_convolutions(self.cfg.get("winograd", True))
        sharded = "FSDP" in str((model_wrapper_cfg or {}).get("type"))
        lay_out(model, self.cfg.get("memory_format", "contiguous"), weights=not sharded)
        return super().wrap_model(model_wrapper_cfg, model)

    def _maybe_compile(self, target: str) -> None:
        """Compile the parts of the model that `compile` names, before training and test alike."""
        settings = self.cfg.get("compile")
        if settings and hasattr(self.model, "full_state_dict"):
            raise ConfigError(
                "compile is set with a sharded model (model_wrapper_cfg.type is SeparateFSDP), "
                "which is not supported; set compile=None, or leave model_wrapper_cfg out (DDP)"
            )
        model: Any = self.model
        compiled = compile_parts(model.module if is_model_wrapper(model) else model, settings)
        if compiled:
            self.logger.info(f"torch.compile, at the first step: {', '.join(compiled)}")

    @staticmethod
    def build_dataloader(
        dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """A loader of `Batch`es, from its config, see `build_loader`."""
        if isinstance(dataloader, dict):
            return build_loader(dataloader, seed, diff_rank_seed)
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def train(self) -> Any:
        """Train; SIGTERM, SIGINT and SIGUSR1 save a checkpoint and stop.

        Raises:
            ConfigError: the config cannot be saved in a checkpoint.
            TrainingStopped: a signal ended the training.
        """
        plain_config(self.cfg)
        try:
            with self.signals:
                return super().train()
        except BaseException as error:
            self.call_hook("on_exception")
            explain_compiler(error, self.cfg.get("compile"))
            raise

    def build_val_loop(self, loop: Any) -> Any:
        """mmengine's loop of validation, over data of which nothing is skipped."""
        refuse_skipping(self._val_dataloader, "val_dataloader")
        return super().build_val_loop(loop)

    def build_test_loop(self, loop: Any) -> Any:
        """mmengine's loop of testing, over data of which nothing is skipped."""
        refuse_skipping(self._test_dataloader, "test_dataloader")
        return super().build_test_loop(loop)

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = True,
        revise_keys: Any = (),
    ) -> dict[str, Any]:
        """Load weights, onto the model's device whatever `map_location` says.

        Raises:
            WeightsError: the file is missing, broken, cannot be read as plain tensors, or its keys
                or shapes differ from the model's.
        """
        checkpoint = self._read_checkpoint(filename)
        self._load(checkpoint, filename, strict)
        return checkpoint

    def _read_checkpoint(self, filename: str) -> dict[str, Any]:
        if "://" in str(filename):
            with get_local_path(str(filename)) as local:
                checkpoint = load_plain(local)
        else:
            checkpoint = load_plain(filename)
        if not isinstance(checkpoint, dict):
            raise WeightsError(
                f"checkpoint {filename} holds a {type(checkpoint).__name__}; allowed is a dict "
                f"of weights by name, or one with the key 'state_dict'"
            )
        checkpoint.setdefault("state_dict", dict(checkpoint))
        return checkpoint

    def _load(self, checkpoint: dict[str, Any], filename: str, strict: bool = True) -> None:
        keep_absent_parts(self, checkpoint)
        rebuild_logs(checkpoint)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        try:
            if hasattr(self.model, "load_full_state_dict"):
                self.model.load_full_state_dict(checkpoint["state_dict"], strict)
            else:
                model = self.model.module if is_model_wrapper(self.model) else self.model
                load_state_dict(model, checkpoint["state_dict"], strict, self.logger)
        except (RuntimeError, TypeError, AttributeError, ValueError, KeyError) as error:
            raise WeightsError(
                f"checkpoint {filename} cannot be used: {str(error).strip()}\n"
                f"Use a whole checkpoint that was trained with this config's `model`."
            ) from error
        self._has_loaded = True
        self.logger.info(f"Load checkpoint from {filename}")

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "default",
    ) -> None:
        """Go on from a training's checkpoint: weights, optimisers, scalers, schedules, logs,
        position in the data and random states.

        Raises:
            WeightsError: see `load_checkpoint`; or the file holds weights alone, or the state of
                other optimisers.
            ConfigError: the number of samples a step has changed in a training whose length is
                counted in epochs.
        """
        checkpoint = self._read_checkpoint(filename)
        missing = [k for k in ("meta", "optimizer", "message_hub") if k not in checkpoint]
        if missing:
            raise WeightsError(
                f"checkpoint {filename} cannot be resumed: it lacks {', '.join(missing)}; resume "
                f"from a file that a training wrote, or start a new training from its weights with "
                f"--cfg-options load_from={filename}"
            )
        self._load(checkpoint, filename)
        meta = checkpoint["meta"]
        loop: TranslationTrainLoop = self.train_loop
        loop.resume(meta, filename)
        self._resume_seed(meta)
        self.message_hub.load_state_dict(checkpoint["message_hub"])
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        try:
            if hasattr(self.model, "load_full_optim_state_dict"):
                self.model.load_full_optim_state_dict(self.optim_wrapper, checkpoint["optimizer"])
            else:
                self.optim_wrapper.load_state_dict(checkpoint["optimizer"])
            self._resume_schedules(checkpoint.get("param_schedulers"))
        except (ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
            raise WeightsError(
                f"checkpoint {filename} holds the state of other optimisers or schedules than the "
                f"config sets ({error}); resume with the config of that training, or start a new "
                f"one from its weights with --cfg-options load_from={filename}"
            ) from error
        states = checkpoint.get("random_states")
        if states is not None and len(states) == self.world_size:
            loop.random_state = states[self.rank]
        else:
            self.logger.warning(
                f"{filename} has the random states of {len(states or ())} ranks, this run has "
                f"{self.world_size}: random numbers start anew from the seed"
            )
        self._has_loaded = True
        self.logger.info(f"resumed epoch: {self.epoch}, iter: {self.iter}")

    def _init_model_weights(self) -> None:
        """Sharded weights were drawn, and made the same on all ranks, before they were sharded."""
        if not hasattr(self.model, "full_state_dict"):
            super()._init_model_weights()

    def save_checkpoint(  # type: ignore[override]
        self,
        out_dir: str,
        filename: str,
        file_client_args: Any = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        """Save whole or not at all; every rank must call, and rank 0 writes.

        Raises:
            ConfigError: the place cannot be written, or is full; older files stay.
        """
        done = 0 if by_epoch else 1
        meta = {"epoch": self.epoch + 1 - done, "iter": self.iter + done, **(meta or {})}
        loop: TranslationTrainLoop = self.train_loop
        meta = {**loop.position_of(int(meta["iter"])), **meta}
        checkpoint = assemble(self, meta, optimizer=save_optimizer, schedule=save_param_scheduler)
        failure: Exception | None = None
        if self.rank == 0:
            try:
                _write(checkpoint, out_dir, filename, backend_args)
            except (ToolkitError, OSError, RuntimeError) as error:
                failure = error
        (failed,) = any_rank(failure is not None)
        if failed and failure is None:
            raise OtherRankError(f"rank 0 could not save the checkpoint {filename}")
        if failed:
            raise ConfigError(
                f"the checkpoint {filename} could not be saved ({failure}); older "
                f"checkpoints in {out_dir} are as they were. Make room, then go on with --resume"
            ) from failure

    def build_logger(self, *args: Any, **options: Any) -> MMLogger:
        """mmengine's logger, without what it says of its own deprecated parts."""
        logger = super().build_logger(*args, **options)
        logger.addFilter(_of_interest)
        return logger

    def get_hooks_info(self) -> str:
        """The hooks in the order in which they are called, for the log."""
        return ", ".join(type(hook).__name__ for hook in self.hooks)

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        own = {k: v for k, v in env_cfg.items() if k != "dist_cfg" or self.distributed}
        facts = {
            **environment(),
            "seed": self.seed,
            "ranks": self.world_size,
            "launcher": self._launcher,
            **own,
        }
        lines = "\n".join(f"    {name}: {value}" for name, value in facts.items())
        self.logger.info(f"environment\n{lines}")
        self.logger.info(f"the config lies in {self.work_dir}")

    def _resume_seed(self, meta: dict[str, Any]) -> None:
        seed, ours = meta.get("seed"), self._randomness_cfg.get("seed")
        if seed is None or seed == ours:
            return
        if ours is not None:
            self.logger.warning(
                f"going on with the checkpoint's seed {seed}; randomness.seed={ours}"
            )
        self._randomness_cfg.update(seed=seed)
        self.set_randomness(**self._randomness_cfg)
        # the order of the data and its draws are of the seed
        self.train_loop.dataloader = self.build_dataloader(self.cfg.train_dataloader, self.seed)

    def _resume_schedules(self, saved: Any) -> None:
        if saved is None or self.param_schedulers is None:
            return
        self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        if isinstance(self.param_schedulers, dict):
            pairs = [
                pair
                for name, several in self.param_schedulers.items()
                for pair in zip(several, saved[name], strict=True)
            ]
        else:
            pairs = list(zip(self.param_schedulers, saved, strict=True))
        for scheduler, state in pairs:
            scheduler.load_state_dict(state)


def _write(
    checkpoint: dict[str, Any], out_dir: str, filename: str, backend_args: dict[str, Any] | None
) -> None:
    if "://" not in out_dir and not backend_args:
        save_whole(checkpoint, Path(out_dir, filename))
        return
    with tempfile.TemporaryDirectory() as folder:
        local = save_whole(checkpoint, Path(folder, filename))
        target = join_path(out_dir, filename, backend_args=backend_args)
        copyfile_from_local(str(local), target, backend_args=backend_args)


def _of_interest(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(NOISE)
