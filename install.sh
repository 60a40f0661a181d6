#!/bin/sh
# install.sh [--whole] [--extras NAME,NAME] [--editable] FOLDER: content-trust in the virtual environment FOLDER, which
# is made if need be.
#
# Installed is exactly what a lock file names: requirements.lock, or with --whole requirements-dev.lock, which has the
# developers' tools besides. --extras adds what extras of pyproject.toml need: requirements-extras.lock has their names,
# requirements-dev.lock versions and hashes. FOLDER keeps them: nobody needs to name them again. In two steps, so that nothing that an index holds can decide anything (docs/adr/0027):
# the wheels are fetched by version and hash into FOLDER/wheels, then installed from there alone. Only the first step
# asks an index, the one that pip's own settings name. What is complete is left alone; what was interrupted begins anew.
#
# PYTHON names the Python to use; python3 if unset.
set -eu
unset PYTHONPATH PYTHONHOME # packages from elsewhere would count as installed

say() { printf '%s\n' "$*" >&2; }
fail() { say "content-trust is not installed: $*"; exit 1; }

usage="usage: install.sh [--whole] [--extras NAME,NAME] [--editable] FOLDER"
set_name=runtime editable="" folder="" asked=""
while [ $# -gt 0 ]; do
  case $1 in
    --whole) set_name=whole ;;
    --editable) editable=--editable ;;
    --extras)
      [ $# -gt 2 ] || fail "--extras wants names, and a folder after them; $usage"
      asked=$2
      shift
      ;;
    --extras=*) asked=${1#*=} ;;
    -*) fail "no option $1; $usage" ;;
    *) folder=$1 ;;
  esac
  shift
done
[ -n "$folder" ] || fail "no folder given; $usage"
source=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}

# --- the Python to use

command -v "$python" >/dev/null 2>&1 || fail "there is no program $python; Python 3.11 or later is needed: PYTHON=..."
# Its own executable, not that of a virtual environment, which may be the one that is made anew below.
about=$("$python" -c 'import sys
print("%d.%d %s" % (sys.version_info[:2] + (getattr(sys, "_base_executable", sys.executable),)))') ||
  fail "$python does not run, see above"
version=${about%% *} python=${about#* }
case $version in
  2.* | 3.? | 3.10) fail "$python is Python $version, and 3.11 or later is needed: PYTHON=..." ;;
esac
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "$python cannot make virtual environments; on Debian and Ubuntu: apt install python$version-venv"

mkdir -p "$folder" || fail "$folder cannot be made"
folder=$(cd "$folder" && pwd)
wheels=$folder/wheels
lock=$source/requirements.lock lock_name=requirements.lock
[ "$set_name" = runtime ] || lock=$source/requirements-dev.lock lock_name=requirements-dev.lock

# --- extras: those that are asked for now, and those that the folder has

extras=$({ printf '%s\n' "$asked" | tr ',' '\n'; cat "$folder/.extras" 2>/dev/null; } | sed '/^$/d' | sort -u)
packages=""
for extra in $extras; do
  found=$(awk -v extra="$extra:" '$1 == extra { sub(/^[^ ]* /, ""); print }' "$source/requirements-extras.lock")
  [ -n "$found" ] ||
    fail "there is no extra $extra; there are:$(sed -n 's/^\([a-z0-9]*\): .*/ \1/p' "$source/requirements-extras.lock" | tr -d '\n')"
  packages="$packages $found"
done

# --- what is there already

facts='import hashlib, sys, sysconfig
def digest(*paths):
    return hashlib.sha256(b"".join(hashlib.sha256(open(path, "rb").read()).digest() for path in paths)).hexdigest()
folder, source = sys.argv[1:]
platform = "%s %s" % (sys.implementation.cache_tag, sysconfig.get_platform())
locks = [source + "/requirements%s.lock" % which for which in ("", "-dev", "-extras")]
locked = "%s, locks %s" % (platform, digest(*locks))
print(platform)
print(locked)
print("environment: %s in %s, %s" % (sys.base_prefix, folder, locked))
print("project: %s %s" % (source, digest(source + "/pyproject.toml", source + "/install.sh")))'
facts=$("$python" -c "$facts" "$folder" "$source")
line() { printf '%s\n' "$facts" | sed -n "${1}p"; }
platform=$(line 1) locked=$(line 2) environment=$(line 3) project=$(line 4)

recorded() { [ -f "$1" ] && grep -qxF -e "$2" "$1"; } # file, line
clear_environment() { # what venv and pip have made, and not the wheels
  (cd "$folder" && rm -rf bin include lib lib64 share pyvenv.cfg .installed .installing)
}

if [ -e "$folder/.installing" ]; then
  say "$folder: an installation was interrupted; it begins anew"
  clear_environment
elif recorded "$folder/.installed" "$environment"; then
  :
elif [ -e "$folder/.installed" ]; then # from other locks, for another Python, or it was moved
  clear_environment
elif [ -e "$folder/pyvenv.cfg" ] && [ "${folder#"$source"/}" != "$folder" ]; then # nobody else's: it lies in our source
  clear_environment
elif [ -n "$(cd "$folder" && ls -A | grep -vxE 'wheels(\.new)?|\.pip-said|\.extras|\.lock')" ]; then
  fail "$folder is not empty, and not made by install.sh; name another folder"
fi

if [ -n "$extras" ]; then
  printf '%s\n' $extras >"$folder/.extras"
  if [ "$set_name" = runtime ]; then # the whole has them
    # An entry begins with a name and goes on in lines with hashes, which are indented.
    awk -v names="$packages" 'BEGIN { count = split(names, list, " "); for (i = 1; i <= count; i++) wanted[list[i]] = 1 }
      /^[^ ]/ { name = $1; sub(/[[;=<>!~].*/, "", name); taken = name in wanted }
      taken' "$source/requirements-dev.lock" >"$folder/.lock"
    cat "$lock" >>"$folder/.lock"
    lock=$folder/.lock set_name="runtime with $(printf '%s ' $extras)"
    lock_name="requirements.lock, with the extras $(printf '%s, ' $extras | sed 's/, $/,/')"
  fi
fi

has_set() { recorded "$1" "set: whole" || recorded "$1" "set: $set_name"; }
if [ -n "$editable" ] && has_set "$folder/.installed" && recorded "$folder/.installed" editable &&
  recorded "$folder/.installed" "$project"; then
  exit 0
fi

# --- the virtual environment

pip() { "$folder/bin/python" -m pip --disable-pip-version-check "$@"; }
# No setting from outside: neither variables nor files may add a place to look in, nor a package.
pip_alone() (
  for name in $(env | sed -n 's/^\(PIP_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
  export PIP_CONFIG_FILE=/dev/null
  pip "$@"
)

if ! [ -e "$folder/pyvenv.cfg" ]; then
  say "making $folder with Python $version"
  : >"$folder/.installing"
  "$python" -m venv "$folder" || fail "$python -m venv failed, see above"
  rm "$folder/.installing"
fi
"$folder/bin/python" -c 'import pip' || fail "$folder has no pip that runs; remove it, or name another folder"

# --- first step: wheels, by version and hash

fetch() { # where to look besides pip's own settings
  rm -rf "$wheels.new" && mkdir "$wheels.new" &&
    "$@" --quiet --require-hashes --no-deps --only-binary :all: --find-links "$wheels" --dest "$wheels.new" -r "$lock" &&
    printf '%s\n' "$locked" "set: $set_name" >"$wheels.new/.complete"
}

if ! recorded "$wheels/.complete" "$locked" || ! has_set "$wheels/.complete"; then
  mkdir -p "$wheels"
  if [ -z "$(ls "$wheels")" ] || ! fetch pip_alone download --no-index >/dev/null 2>&1; then
    say "fetching the wheels that $lock_name names"
    said=$folder/.pip-said
    fetch pip download 2>&1 | tee "$said" >&2
    if ! [ -e "$wheels.new/.complete" ]; then
      if grep -q 'DO NOT MATCH THE HASHES' "$said"; then
        fail "an index sent something else than $lock_name names, see above; nothing of it was installed"
      elif grep -qE 'Retrying \(|Could not fetch URL|onnection|timed out|ProxyError|SSLError' "$said"; then
        fail "a package index was not reached, see above; pip's settings name it (pip config list), and its proxy"
      elif missing=$(sed -n 's/.*No matching distribution found for \([^ ]*\).*/\1/p' "$said" | head -1) && [ -n "$missing" ]; then
        fail "no index that pip reached has a wheel of $missing for $platform"
      fi
      fail "pip download failed, see above"
    fi
    rm -f "$said"
  fi
  rm -rf "$wheels" && mv "$wheels.new" "$wheels"
fi

# --- second step: from these wheels alone

: >"$folder/.installing"
if ! has_set "$folder/.installed"; then
  say "installing what $lock_name names"
  # Most of the developers' tools is never imported: what is will be compiled then, which halves the time.
  compile=""
  [ "$set_name" != whole ] || compile=--no-compile
  # The build backend of requirements.lock is not for the environment: pip takes it from the wheels when it builds.
  # shellcheck disable=SC2086 # no option is no word
  if ! sed '/^# What builds/,$d' "$lock" |
    pip_alone install --quiet $compile --no-index --no-deps --require-hashes --find-links "$wheels" -r /dev/stdin; then
    rm -f "$wheels/.complete" # the next try fetches again what may be damaged
    fail "pip install from $wheels failed, see above"
  fi
fi
# shellcheck disable=SC2086 # no option is no word
pip_alone install --quiet --no-index --no-deps --force-reinstall --find-links "$wheels" $editable "$source" ||
  fail "pip could not build or install $source, see above"
found=$(pip_alone check) || fail "packages are missing or do not fit: $found"
! recorded "$folder/.installed" "set: whole" || set_name=whole
printf '%s\n' "$environment" "set: $set_name" "$project" ${editable:+editable} >"$folder/.installed"
rm "$folder/.installing"
