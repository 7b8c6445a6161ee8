"""Makes an environment with plugin packages installed, and nothing else that the present one lacks.

    python tests/plugin_environment.py FOLDER PACKAGE_FOLDER...

The environment sees what is installed here, the toolkit and torch among it, so that minutes of
downloads are spared; what is installed into it stays in it.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path


def make(folder: Path, packages: list[Path]) -> Path:
    """The Python of a new environment in `folder` with the packages and what their tests need."""
    venv.create(folder, with_pip=False, clear=True)
    python = folder / "bin" / "python"
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    here = sysconfig.get_path("purelib")
    (site / "present_environment.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    with tempfile.TemporaryDirectory() as copies:
        sources = []
        for package in packages:  # a build leaves traces beside the source
            copy = Path(copies, package.name)
            shutil.copytree(package, copy, ignore=shutil.ignore_patterns("build", "*.egg-info"))
            sources.append(f"{copy}[test]")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--no-build-isolation", *sources],
            check=True,
        )  # fmt: skip
    return python


if __name__ == "__main__":
    make(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
