#!/usr/bin/env bash
# Installs the named Debian packages that are missing: as root or through sudo, else it says which and stops.
set -euo pipefail

missing=()
for package in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "This is no Debian system. Install what these packages hold: ${missing[*]}" >&2
    exit 1
elif [ "$(id -u)" -eq 0 ]; then
    as_root=(env)
elif sudo --non-interactive true 2>/dev/null; then
    as_root=(sudo env)
else
    echo "These packages are missing. Run: sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
"${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq update
"${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${missing[@]}"
