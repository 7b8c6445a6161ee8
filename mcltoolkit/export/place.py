"""The folder of an export: what may be replaced, and replacing it without a loss.

Only what an earlier export wrote is ever removed, and only once the new folder is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mcltoolkit.errors import ConfigError
from mcltoolkit.export import card, description

_SHOWN = 5


def check_place(out: Path, overwrite: bool, needed: Mapping[str, str | Path | None]) -> Path:
    """Check that `out` can be made, or replaced.

    Args:
        out: folder to make.
        overwrite: an earlier export may be replaced.
        needed: what it is for -> file that is read for the export, and must stay.

    Returns:
        `out` as an absolute path.

    Raises:
        ConfigError: something else is there, or around a file that is needed.
    """
    out = Path(os.path.abspath(out))
    if out.is_symlink():
        raise ConfigError(
            f"--out {out} is a link to {os.readlink(out)}, which cannot be replaced as a whole; "
            f"give the folder itself or another one"
        )
    here = Path.cwd()
    if out.resolve() in (here, *here.parents):
        raise ConfigError(
            f"--out {out} is the folder you are in, or one around it, which cannot be replaced as "
            f"a whole; give a new folder, such as --out {here / 'exported'}"
        )
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return out
    if not out.is_dir():
        raise ConfigError(f"{out} exists already; it is no folder and stays: give --out another")
    why = _foreign(out)
    if why:
        raise ConfigError(
            f"{out} exists already; it is no export ({why}) and stays: give --out another folder"
        )
    if not overwrite:
        raise ConfigError(
            f"{out} exists already; add --overwrite to replace this export, or give --out another "
            f"folder"
        )
    for what, path in needed.items():
        if path is not None and out.resolve() in Path(path).resolve().parents:
            raise ConfigError(
                f"the {what} {path} lies in {out}, which --overwrite would delete; give --out "
                f"another folder"
            )
    return out


def _foreign(out: Path) -> str:
    """Why a folder is not what an export left, or an empty string."""
    file = out / description.FILE
    if file.is_symlink() or not file.is_file():
        return f"it has no {description.FILE}"
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        return f"its {description.FILE} cannot be read: {str(error).splitlines()[0]}"
    known = _names(content)
    if known is None:
        return f"its {description.FILE} is of another program or format"
    known |= {description.FILE, card.FILE}
    others = sorted(
        path.name
        for path in out.iterdir()
        if path.name not in known or path.is_symlink() or not path.is_file()
    )
    if not others:
        return ""
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return f"it also has {', '.join(others[:_SHOWN])}{more}, of which its io.json does not tell"


def _names(content: Any) -> set[str] | None:
    """The files that an `io.json` lists; None where it is none of ours."""
    if not isinstance(content, dict) or content.get("format") != description.FORMAT:
        return None
    toolkit, formats = content.get("toolkit"), content.get("files")
    if not isinstance(toolkit, str) or not toolkit.startswith("mcltoolkit "):
        return None
    if not isinstance(formats, dict):
        return None
    listed = [facts.get("files") if isinstance(facts, dict) else None for facts in formats.values()]
    if not all(isinstance(files, dict) for files in listed):
        return None
    return {name for files in listed if files for name in files}


@contextmanager
def whole_folder(
    out: Path, overwrite: bool, needed: Mapping[str, str | Path | None]
) -> Iterator[Path]:
    """A folder beside `out` that takes its name once all went well and is removed otherwise,
    together with the folders around it that were made for it.

    Raises:
        ConfigError: the place cannot be written, or has been taken meanwhile.
    """
    part = _beside(out, "tmp")
    missing = [parent for parent in out.parents if not parent.exists()]
    try:
        try:
            part.mkdir(parents=True)
            try:
                yield part
                check_place(out, overwrite, needed)
                _replace(part, out)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        except BaseException:
            for parent in missing:
                with suppress(OSError):  # never made, or in use by others now
                    parent.rmdir()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot write {out}: {error.strerror or error}; free the place or choose another "
            f"folder for --out"
        ) from error


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(f".{out.name}.{os.getpid()}.{ending}")


def _replace(part: Path, out: Path) -> None:
    """Give `part` the name `out`; what had it is deleted last, and gets it back on an error."""
    if not out.exists():
        os.replace(part, out)
        return
    old = _beside(out, "old")
    os.replace(out, old)
    try:
        os.replace(part, out)
    except BaseException:
        if not out.exists():
            os.replace(old, out)
        raise
    try:
        shutil.rmtree(old)
    except OSError as error:
        raise ConfigError(
            f"{out} is exported, but what it replaces, now {old}, cannot be deleted: "
            f"{error.strerror or error}; delete it by hand"
        ) from error
