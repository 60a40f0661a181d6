#!/bin/sh
# other_pythons.sh PYTHON VENV [all]: what needs no program and no network, on every other Python that pyproject.toml names
# and that is found here. Each has an environment of its own below VENV, with what the lock names, by hash: the wheels
# that VENV was installed from, and those that only this Python needs.
set -eu
cd "$(dirname "$0")/.."
used=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
wheels=$2/wheels environments=$2/other lock=requirements-dev.lock
# These start many processes or publish hundreds of times, two fifths of the time of all, and what they prove depends on no
# version of Python: without `all` they run on the first Python alone.
costly="
tests/unit/cli_client/test_aliases.py
tests/unit/cli_client/test_bulk_killed.py
tests/unit/cli_client/test_bulk_rotation.py
tests/unit/cli_client/test_bulk_signers.py
tests/unit/cli_client/test_key_compromised_removal.py
tests/unit/cli_client/test_token_removed.py
tests/unit/cli_client/test_unseen_in_many.py
tests/unit/cli_doctor/test_agreement.py
tests/unit/keys/test_command_keys.py
tests/unit/keys/test_service_key_details.py
tests/unit/keys/test_service_keys.py
tests/unit/keys/test_wrapped_keys.py
tests/unit/server/test_check.py
tests/unit/server/test_judge_process.py
tests/unit/server/test_judged_by_changes.py
tests/unit/server/test_reseal.py
"
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

fitting() { # the names of the packages whose wheels are for every Python
  find "$wheels" -name '*.whl' | sed -n -E 's#.*/([^/-]*)-[^/]*-(none|abi3)-[^-]*\.whl$#\1#p' | tr 'A-Z' 'a-z' | tr '_\n' '- '
}
download() { # Python, folder, what pip is told; by its own pip: an older one, such as VENV has on Debian 12, cannot run there
  own=$1 environment=$2
  shift 2
  if "$own" -m pip --version >/dev/null 2>&1; then
    "$own" -m pip --disable-pip-version-check download "$@"
  else
    "$venv_python" -m pip --disable-pip-version-check --python "$environment/bin/python" download "$@"
  fi
}
decides() { cat "$lock" pyproject.toml tests/other_pythons.sh; } # what an environment was made by
install_into() { # folder, Python
  if decides | cmp -s - "$1/installed"; then return; fi
  rm -rf "$1"
  "$venv_uv" venv --quiet --python "$2" "$1"
  awk -v have=" $(fitting)" '/^[a-z0-9]/ { split($1, part, /==|\[/); wanted = !index(have, " " part[1] " ") } wanted' \
    "$lock" >"$1/own.lock"
  download "$2" "$1" --quiet --require-hashes --no-deps --only-binary :all: --dest "$1/wheels" -r "$1/own.lock"
  "$venv_uv" pip install --quiet --offline --python "$1/bin/python" --no-index --no-deps --require-hashes \
    --find-links "$wheels" --find-links "$1/wheels" -r "$lock"
  "$venv_uv" pip install --quiet --offline --python "$1/bin/python" --no-deps --no-build-isolation --editable .
  decides >"$1/installed"
}

left_out=
[ "${3-}" = all ] || for module in $costly; do left_out="$left_out --ignore=$module"; done

venv_python=$2/bin/python venv_uv=$2/bin/uv
for version in $versions; do
  [ "$version" != "$used" ] || continue
  python=$(find_python "$version")
  if [ -z "$python" ]; then
    echo "Python $version is not here: nothing is run on it"
    continue
  fi
  echo "unit tests and contracts on Python $version"
  install_into "$environments/$version" "$python"
  "$environments/$version/bin/python" -m pytest -q -n 2 -p no:cacheprovider -m "not long" $left_out tests/unit tests/contracts
done
