#!/bin/sh
# Ends the servers that demo/start.sh started.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
. demo/settings.sh

pids=
for port in $ports; do
  file=$dir/$port/homeserver.pid
  pid=$(cat "$file" 2>/dev/null || true)
  [ -n "$pid" ] || continue
  if kill -TERM "$pid" 2>/dev/null; then pids="$pids $pid"; else rm -f "$file"; fi
done
for pid in $pids; do
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
done
[ -z "$pids" ] || echo "The servers of the demo have ended."
