#!/bin/sh
# Makes a virtual environment with everything that requirements.lock pins, and with SER as it is here.
#   [PYTHON=python3.12] [VENV=.venv] ./setup.sh       PYTHON is taken where it is given; else what fits is found
set -eu
cd "$(dirname "$0")"

venv=${VENV:-.venv}
oldest=11 newest=14 # of Python 3
# TensorFlow's releases know Python up to 3.13; for 3.14 there is a release candidate, so that comes last.
candidates="python3.13 python3.12 python3.11 python3.14 python3 python"

fail() {
  echo "setup: $1" >&2
  exit 1
}

# Is this a Python of a version that fits?
fits() {
  "$1" -c "import sys; sys.exit(not (3, $oldest) <= sys.version_info[:2] <= (3, $newest))" 2>/dev/null
}

has_uv() {
  command -v uv >/dev/null
}

# Can it make virtual environments? Debian's needs a package more for it.
has_venv() {
  has_uv || "$1" -c 'import venv, ensurepip' 2>/dev/null
}

how_to_get_one() {
  echo "install one: on Debian and Ubuntu, apt install python3-venv; on Fedora, dnf install python3.13; on macOS," \
    "brew install python@3.13; or, on any system, uv (https://docs.astral.sh/uv), which brings its own"
}

make_with() {
  if has_uv; then
    uv venv --quiet --clear --python "$1" "$venv"
  else
    "$1" -m venv --clear "$venv"
  fi
}

install() {
  if has_uv; then
    uv pip install --quiet --python "$venv/bin/python" "$@"
  else
    "$venv/bin/python" -m pip install --quiet "$@"
  fi
}

if [ -n "${PYTHON:-}" ]; then
  command -v "$PYTHON" >/dev/null || fail "PYTHON=$PYTHON: there is no such program"
  fits "$PYTHON" || fail "PYTHON=$PYTHON: expected Python 3.$oldest to 3.$newest, got $("$PYTHON" --version 2>&1)"
  has_venv "$PYTHON" || fail "PYTHON=$PYTHON has no venv; $(how_to_get_one)"
  make_with "$(command -v "$PYTHON")"
elif has_uv; then
  # Where the system has none that fits, uv brings one.
  make_with ">=3.$oldest,<3.$newest" 2>/dev/null || make_with "3.$newest"
else
  chosen="" without_venv=""
  for candidate in $candidates; do
    if command -v "$candidate" >/dev/null && fits "$candidate"; then
      if has_venv "$candidate"; then
        chosen=$candidate
        break
      fi
      without_venv=$candidate
    fi
  done
  if [ -z "$chosen" ]; then
    [ -z "$without_venv" ] || fail "$without_venv has no venv; $(how_to_get_one)"
    fail "expected Python 3.$oldest to 3.$newest, found none; $(how_to_get_one)"
  fi
  make_with "$chosen"
fi

install --require-hashes -r requirements.lock
install --no-deps --no-build-isolation --editable .
# What hears best: fetched once for all environments of this user. Without it the rest works, and says what it misses.
"$venv/bin/ser" encoder fetch >/dev/null || echo "setup: without the encoder; everything else is there" >&2
