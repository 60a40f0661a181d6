#!/bin/sh
# images.sh BIN DIST: the images `trust` and `trust-server`, DIST/content-trust-VERSION-images-linux-MACHINE.tar, an OCI
# layout. BIN: the programs of the developers' environment (make whole). DIST: wheel and lock are there (make packages).
#
# Out of what debian.sh has fetched, without an engine and without root. Python is the only program of Debian's that is
# left: there is no shell in the images. Both have the same layers but for the last, a home folder.
set -eu
python=python3.11 user=970
opt=opt/content-trust

fail() { printf '%s\n' "no image was built: $*" >&2; exit 1; }

command -v umoci >/dev/null || fail "there is no program umoci; on Debian and Ubuntu: apt install umoci"
bin=$(cd "$1" && pwd)
[ -x "$bin/$python" ] || fail "$bin has no $python, which Debian's Python is, and for which the wheels must be"
debian=$bin/../debian.tar
[ -f "$debian" ] || fail "there is no $debian: make debian"
dist=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
version=$("$bin/hatchling" version)
export SOURCE_DATE_EPOCH=1580601600
created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
unset PYTHONPATH PYTHONHOME
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir "$root"

# --- layer 1: Debian's C library, Python, CA certificates and time zones

tar --extract --file "$debian" --directory "$root" --no-same-owner --exclude='./dev/*'
(
  cd "$root"
  # What the machine of the build put there, what only packages' scripts need, and what nobody reads in a container.
  rm -rf etc/apt etc/dpkg etc/alternatives etc/cron.daily etc/logrotate.d etc/update-motd.d etc/skel etc/profile.d \
    etc/resolv.conf etc/hostname etc/fstab etc/rmt var/cache/apt var/lib/apt var/log/apt usr/share/lintian \
    usr/share/locale usr/share/man usr/share/info usr/share/bug usr/share/bash-completion usr/lib/*/gconv
  find var/lib/dpkg -mindepth 1 -maxdepth 1 ! -name status.d -exec rm -r {} +
  # Some packages depend on programs of which only their scripts make use.
  find bin sbin usr/bin usr/sbin usr/libexec ! -type d ! -name "$python" -delete 2>/dev/null || true
  find usr/share/doc -type f ! -name copyright -delete
  find usr/share/doc -type d -empty -delete
  mkdir -p usr/lib/ssl etc/ssl/certs
  LC_ALL=C; export LC_ALL
  cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
  ln -sf /etc/ssl/certs usr/lib/ssl/certs
  ln -sf /etc/ssl/certs/ca-certificates.crt usr/lib/ssl/cert.pem
  printf '%s\n' 'root:x:0:0:root:/:/nonexistent' \
    "content-trust:x:$user:$user:content-trust:/var/lib/content-trust:/nonexistent" >etc/passwd
  printf '%s\n' 'root:x:0:' "content-trust:x:$user:" >etc/group
  echo 'hosts: files dns' >etc/nsswitch.conf
)

# --- layer 2: what the lock names, by hash and without an index

env PIP_CONFIG_FILE=/dev/null "$bin/python" -m pip --disable-pip-version-check install --quiet --no-index --no-deps \
  --require-hashes --ignore-installed --no-compile --no-warn-script-location \
  --find-links "$bin/../wheels" --find-links "$dist" --prefix "$root/$opt" --requirement "$dist/requirements.lock"
site=$root/$opt/lib/$python/site-packages
printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >"$root/$opt/pyvenv.cfg"
(
  cd "$root/$opt/bin"
  # Of the programs of the libraries none is for users; ours begin with the path of the Python of the build.
  find . -type f ! -name 'trust*' ! -name content-trust ! -name docker-trust -delete
  sed -i "1s|.*|#!/$opt/bin/python|" ./*
  ln -s "/usr/bin/$python" python
  ln -s python "$python"
)
sed -i '/^\.\.\/\.\.\/\.\.\/bin\//d' "$site"/*.dist-info/RECORD # they would tell other hashes
# Nobody in a container may write there, so what is not compiled now would be compiled at each start. By the hash of
# the source and not its time, which no layer keeps to.
"$bin/python" -m compileall -q --invalidation-mode unchecked-hash -s "$root" -p / "$root/usr/lib/$python" "$site"

# --- the layout

layout=$work/layout
pack() { # folder, paths...: add them to the layer
  from=$1; shift
  tar --append --file "$layer" --directory "$from" --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
    --numeric-owner "$@"
}
readonly_as_root='--owner=0 --group=0 --mode=u=rwX,go=rX,a-st'
# shellcheck disable=SC2086 # options
{
  layer=$work/1.tar; pack "$root" $readonly_as_root --exclude=./opt --exclude=./tmp --exclude=./var/tmp .
  mkdir -p "$root/tmp" "$root/var/tmp"
  pack "$root" --owner=0 --group=0 --mode=1777 --no-recursion ./tmp ./var/tmp
  layer=$work/2.tar; pack "$root" $readonly_as_root ./opt
}
umoci init --layout "$layout"
image() { # name, home folder, options of umoci config...
  name=$1 home=$2; shift 2
  rm -rf "$work/home"; mkdir -p "$work/home/$home"
  layer=$work/$name.tar; pack "$work/home" --owner="$user" --group="$user" --mode=0700 "./$home"
  umoci new --image "$layout:$name"
  for file in 1 2 "$name"; do
    umoci raw add-layer --image "$layout:$name" --history.created "$created" \
      --history.created_by "release/images.sh" "$work/$file.tar"
  done
  umoci config --image "$layout:$name" --no-history --created "$created" --config.user "$user:$user" \
    --config.env "PATH=/$opt/bin:/usr/bin" --config.env "HOME=/$home" --config.workingdir "/$home" \
    --config.label "org.opencontainers.image.version=$version" "$@"
}
image trust var/lib/content-trust --config.entrypoint "/$opt/bin/trust"
image trust-server var/lib/trust-server --config.entrypoint "/$opt/bin/trust-server" \
  --config.cmd serve --config.cmd --config --config.cmd /etc/trust-server.toml --config.exposedports 4443/tcp
umoci gc --layout "$layout"
archive=content-trust-$version-images-linux-$(uname -m).tar
tar --create --file "$work/$archive" --directory "$layout" --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
  --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX .
mv "$work/$archive" "$dist/"
