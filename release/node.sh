#!/bin/sh
# node.sh BIN FOLDER: the build for machines without Python, FOLDER/content-trust-VERSION-linux-MACHINE.tar.gz.
# BIN: the programs of the developers' environment (make whole). In the archive is content-trust/bin, for /opt.
set -eu
bin=$(cd "$1" && pwd)
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
version=$("$bin/hatchling" version)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH PYTHONHOME
umask 022

# The order of sets and the time of the build are in nothing that is built. All modules are compiled anew: one that was
# read from __pycache__ is stored in other bytes.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPYCACHEPREFIX="$work/none"
PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=1580601600 PYINSTALLER_CONFIG_DIR="$work/cache" "$bin/python" -m PyInstaller \
  --noconfirm --log-level ERROR --distpath "$work/built" --workpath "$work/work" release/node.spec
mkdir -p "$work/root/content-trust"
mv "$work/built/content-trust" "$work/root/content-trust/bin"
cp LICENSE "$work/root/content-trust/"
# One file under each name, since the program is what its file is called.
for name in content-trust docker-trust trust-image-verifier; do
  ln "$work/root/content-trust/bin/trust" "$work/root/content-trust/bin/$name"
done
archive=content-trust-$version-linux-$(uname -m).tar
tar --create --file "$work/$archive" --directory "$work/root" --format=gnu --sort=name --mtime=@1580601600 \
  --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX content-trust
gzip --no-name --best "$work/$archive"
mv "$work/$archive.gz" "$folder/"
