# Sourced by demo.sh and check.sh: makes .venv once and installs the package with the given extra.
# usage: source tools/environment.sh EXTRA   (from the repository root)
extra=$1
python=""
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 python}; do
  if command -v "$candidate" >/dev/null 2>&1 &&
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "No Python 3.10 or newer was found. Install one, or name it: PYTHON=/path/to/python $0" >&2
  exit 2
fi
if [ ! -x .venv/bin/python ]; then
  echo "==> making the virtual environment .venv with $("$python" --version)"
  "$python" -m venv .venv
fi
stamp=.venv/.installed-$extra
wanted=$(cat setup.py pyproject.toml | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "==> installing mcltoolkit[$extra] and what it needs into .venv (minutes at the first time)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extra]"
  echo "$wanted" >"$stamp"
else
  echo "==> .venv is ready"
fi
export PATH=$PWD/.venv/bin:$PATH
