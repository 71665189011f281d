#!/usr/bin/env bash
# Tries what README promises a newcomer, in an empty Debian: git, make and its own Python, a user without rights, and a
# clone in a folder with a space in its name. For root; needs debootstrap and a network.
#   tests/fresh_system.sh SUITE [TARGET...]      SUITE: bookworm, trixie, forky; TARGET: of make, by default demo test
# The system stays in FRESH_ROOT (default: fresh-SUITE in the folder for temporary files), to be tried again; delete it by hand.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1:?"expected a suite: bookworm, trixie or forky"}
shift
targets=("$@")
((${#targets[@]})) || targets=(demo test)
root=${FRESH_ROOT:-${TMPDIR:-/tmp}/fresh-$suite}
clone="/home/anna/my clone"

if [[ ! -e $root/etc/fresh-system ]]; then
  scripts=/usr/share/debootstrap/scripts
  [[ -e $scripts/$suite ]] && script=() || script=("$scripts/sid")
  debootstrap --variant=minbase --include=git,make,python3,ca-certificates \
    "$suite" "$root" http://deb.debian.org/debian ${script[@]+"${script[@]}"} >/dev/null
  chroot "$root" useradd --create-home --shell /bin/sh anna
  touch "$root/etc/fresh-system"
fi
# The way to the network is the machine's, and nothing else.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

within() { # USER COMMAND
  unshare --mount --pid --fork bash -euc '
    mount --make-rprivate /
    mount -t proc proc "$0/proc"
    mount --rbind /dev "$0/dev"
    exec chroot "$0" su - "$1" -c "$2"' "$root" "$1" "$2"
}

rm -rf "${root:?}$clone"
git clone --quiet . "$root$clone"
chroot "$root" chown -R anna "$clone"

if ! chroot "$root" python3 -c 'import ensurepip' 2>/dev/null; then
  echo "== $suite, $(chroot "$root" python3 --version), before python3-venv is installed"
  within anna "cd '$clone' && make setup" && { echo "expected make setup to say what is missing" >&2; exit 1; }
  chroot "$root" apt-get install --quiet --quiet --yes --no-install-recommends python3-venv >/dev/null
fi
for target in "${targets[@]}"; do
  echo "== $suite, $(chroot "$root" python3 --version), make $target"
  SECONDS=0
  within anna "cd '$clone' && make $target"
  echo "== make $target: $SECONDS s"
done
