#!/bin/sh
# Takes away all that the servers of the demo keep: their configuration, keys, databases and logs.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
. demo/settings.sh

demo/stop.sh
for port in $ports; do
  rm -rf "$dir/$port" "$dir/etc/$port.config" "$dir/etc/localhost:$((port + 400))".*
done
# Others may keep theirs there.
rmdir "$dir/etc" 2>/dev/null || true
