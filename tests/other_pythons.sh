#!/bin/sh
# other_pythons.sh PYTHON VENV: what needs no program and no network, on every other Python that pyproject.toml names
# and that is found here. Each has an environment of its own below VENV, installed as everybody's is.
set -eu
cd "$(dirname "$0")/.."
used=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
environments=$2/other
versions=$(sed -n 's/.*Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml)

runs() { [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$2" ]; }
find_python() { # version: on PATH, or among those of pyenv, whose shims may lead nowhere
  for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python3; do
    if runs "$candidate" "$1"; then
      command -v "$candidate"
      return
    fi
  done
}

for version in $versions; do
  [ "$version" != "$used" ] || continue
  python=$(find_python "$version")
  if [ -z "$python" ]; then
    echo "Python $version is not here: nothing is run on it"
    continue
  fi
  echo "unit tests and contracts on Python $version"
  PYTHON=$python sh install.sh --whole --editable "$environments/$version"
  "$environments/$version/bin/python" -m pytest -q -n 2 -p no:cacheprovider -m "not long" tests/unit tests/contracts
done
