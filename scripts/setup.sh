#!/bin/bash
# Installs what packages.txt names and is not there yet. Says nothing where nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t wanted < <(sed 's/#.*//' packages.txt | tr -s ' \t' '\n' | sed '/^$/d')

give_up() {
  {
    echo "settle needs packages that can't be installed here: $1."
    echo "Install them (the names are Debian 12's), then call make with SETUP=no:"
    echo "  ${missing[*]}"
  } >&2
  exit 1
}

missing=("${wanted[@]}")
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || give_up "there is no apt"

installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null |
  sed -n 's/ installed$//p' || true)
mapfile -t missing < <(printf '%s\n' "${wanted[@]}" | grep -vxF -f <(printf '%s\n' "$installed") || true)
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=(env)
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || give_up "you are not root and there is no sudo"
  [ -t 0 ] || sudo -n true 2>/dev/null || give_up "sudo wants a password"
  as_root=(sudo env)
fi

echo "Installing: ${missing[*]}"
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q)
"${apt[@]}" update || echo "apt-get update failed; going on with the lists that are here" >&2
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" || give_up "apt-get install failed"
