#!/bin/sh
# Ends the servers that demo/start.sh started.
set -eu
cd "$(dirname "$0")"

pids=
for port in 8080 8081 8082; do
  pid=$(cat $port/homeserver.pid 2>/dev/null || true)
  [ -n "$pid" ] || continue
  if kill -TERM "$pid" 2>/dev/null; then pids="$pids $pid"; else rm -f $port/homeserver.pid; fi
done
for pid in $pids; do
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
done
[ -z "$pids" ] || echo "The servers of the demo have ended."
