#!/bin/sh
# extras.sh UV PYTHON: write what each extra needs besides requirements.lock, by name. install.sh takes versions and
# hashes from requirements-dev.lock, which has all extras.
set -eu
uv=$1 python=$2

names() { # of the packages that are needed with these options
  "$uv" pip compile --python-version 3.11 --universal --no-annotate --no-header --quiet \
    --constraint requirements-dev.lock "$@" pyproject.toml | sed -n 's/^\([A-Za-z0-9._-]*\).*/\1/p' | sort -u
}

runtime=$(names)
echo '# What each extra needs besides requirements.lock; versions and hashes are in requirements-dev.lock.'
for extra in $("$python" -c 'import tomllib
extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print(*sorted(set(extras) - {"dev"}))'); do
  printf '%s:%s\n' "$extra" "$(names --extra "$extra" | grep -vxF -e "$runtime" | sed 's/^/ /' | tr -d '\n')"
done
