#!/bin/sh
# What the environment needs of the machine: Python 3.11 with venv, and a C++ compiler with Python's headers (annoy comes
# as source). Installs what lacks where it may (root, Debian or Ubuntu), else says what to install.
set -eu
python=${1:-python3}

fail() { echo "sluice: $1" >&2; exit 1; }

command -v "$python" >/dev/null || fail "there is no $python; install Python 3.11, or run make with PYTHON=/path/to/python3.11"
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "Python 3.11 was expected, $("$python" --version) was found; run make with PYTHON=/path/to/python3.11"

lacking=""
"$python" -c 'import venv, ensurepip' 2>/dev/null || lacking="$lacking python3.11-venv"
header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
[ -f "$header" ] || lacking="$lacking python3.11-dev"
command -v c++ >/dev/null || lacking="$lacking g++"
[ -z "$lacking" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "sluice: installing$lacking" >&2
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $lacking >/dev/null && exit 0
fi
fail "the machine lacks$lacking; as root: apt-get install$lacking"
