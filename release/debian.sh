#!/bin/sh
# debian.sh FILE.tar: the packages of Debian of which the images are made, unpacked. None of their scripts is run, so
# that root is not needed. Debian's signatures on its lists are checked; its newest security updates are taken, so two
# builds are the same bytes only until Debian has one.
set -eu
suite=bookworm # its Python is 3.11

fail() { printf '%s\n' "no package of Debian was fetched: $*" >&2; exit 1; }

command -v mmdebstrap >/dev/null ||
  fail "there is no program mmdebstrap; on Debian and Ubuntu: apt install mmdebstrap"
mkdir -p "$(dirname "$1")"

# The packages of `alone` depend on programs (debconf, perl, awk) that only their scripts need. status.d: what is
# installed, for those who look images over for known faults.
hook='set -eu
alone="base-files ca-certificates tzdata"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
cd "$1/var/cache/apt/archives"
apt-get --quiet --quiet --option APT::Sandbox::User=root download $alone
for name in $alone; do dpkg-deb --extract "$name"_*.deb "$1"; done
mkdir -p "$1/var/lib/dpkg/status.d"
for file in *.deb; do
  dpkg-deb --field "$file" >"$1/var/lib/dpkg/status.d/$(dpkg-deb --field "$file" Package)"
done
rm "$1/var/lib/dpkg/status.d/dpkg" "$1/var/lib/dpkg/status.d/tar"' # their programs are taken out
mmdebstrap --quiet --variant=extract --format=tar --include=python3.11-minimal,libpython3.11-stdlib --extract-hook="$hook" \
  "$suite" "$1.new" || fail "mmdebstrap failed, see above"
mv "$1.new" "$1"
