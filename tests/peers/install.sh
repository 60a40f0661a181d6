#!/bin/sh
# The real programs that tests/peers, tests/journeys and tests/benchmarks run against. With root on Debian they are
# installed; otherwise the tests that need them are skipped, each naming the missing program.
set -u
wanted="docker-registry skopeo podman notary sqlite3 wrk postgresql softhsm2 nginx-light caddy openssl curl openssh-client putty-tools prometheus zsh fish mmdebstrap umoci"
missing=""
for package in $wanted; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed (needs root on Debian):$missing; the tests that need them are skipped" >&2
  exit 0
fi
echo "installing the peers:$missing" >&2
# Debian starts services at installation; the tests start their own on loopback ports and leave nothing behind.
policy=/usr/sbin/policy-rc.d
made=""
[ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; made=1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null
status=$?
[ -z "$made" ] || rm -f "$policy"
[ "$status" = 0 ] || echo "apt could not install:$missing; the tests that need them are skipped" >&2
exit 0
