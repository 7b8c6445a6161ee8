"""mmengine's Runner with strict loading and checkpoints that are never half-written."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mcltoolkit.engine.data_loader import build_loader, refuse_skipping
from mcltoolkit.engine.hooks.observe import observer_hook
from mcltoolkit.engine.named_settings import NamedSettingsRunner
from mcltoolkit.errors import WeightsError
from mcltoolkit.registry import RUNNERS


@RUNNERS.register_module()
class TranslationRunner(NamedSettingsRunner):
    """Runs trainings and tests of this toolkit.

    Differs from mmengine's Runner in that a checkpoint with missing or unexpected keys is an error,
    that a checkpoint appears under its name only when it is whole, and that plugins may look on.
    """

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Any = None) -> None:
        """Register the config's hooks, and one for the plugins that observe the run, if any."""
        super().register_hooks(default_hooks, custom_hooks)
        observers = observer_hook()
        if observers is not None:
            self.register_hook(observers)

    @staticmethod
    def build_dataloader(
        dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """A loader of `Batch`es, from its config, see `build_loader`."""
        if isinstance(dataloader, dict):
            return build_loader(dataloader, seed, diff_rank_seed)
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

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
        """Load weights.

        Raises:
            WeightsError: the file is missing, cannot be read as plain tensors, or its keys or
                shapes differ from the model's.
        """
        if "://" not in str(filename) and not Path(filename).is_file():
            raise WeightsError(
                f"checkpoint {filename} does not exist; give the path of an `iter_N.pth` file "
                f"that a training wrote to its work directory"
            )
        # With a key to revise, if only this idle one, mmengine takes plain dicts too.
        revise = list(revise_keys) or [("^", "")]
        try:
            return super().load_checkpoint(filename, map_location, strict, revise)
        except WeightsError:
            raise
        except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
            raise WeightsError(
                f"checkpoint {filename} cannot be used: {str(error).strip()}\n"
                f"Use a whole checkpoint that was trained with this config's `model`."
            ) from error

    def save_checkpoint(  # type: ignore[override]
        self, out_dir: str, filename: str, *args: Any, **kwargs: Any
    ) -> None:
        """Save under a temporary name, then rename: a crash leaves the older files whole."""
        if self.rank != 0:
            return
        if "://" in out_dir or kwargs.get("backend_args") or kwargs.get("file_client_args"):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        partial, target = Path(out_dir, f".{filename}.partial"), Path(out_dir, filename)
        try:
            super().save_checkpoint(out_dir, partial.name, *args, **kwargs)
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
