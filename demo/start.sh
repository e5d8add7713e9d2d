#!/bin/sh
# Starts three servers on this machine that talk with each other: demo/start.sh [--no-rate-limit]
#
# Clients find them at http://localhost:8080, 8081 and 8082; their names are localhost:8480, 8481 and 8482. Other ports, and
# another place for what they keep: demo/settings.sh.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
. demo/settings.sh

extra=
for argument in "$@"; do
  case $argument in
    --no-rate-limit) extra="-c $root/demo/no-rate-limit.yaml" ;;
    *)
      echo "usage: demo/start.sh [--no-rate-limit]" >&2
      exit 2
      ;;
  esac
done

node demo/prepare.js
mkdir -p "$dir/etc"
for port in $ports; do
  name=localhost:$((port + 400))
  config=$dir/etc/$port.config
  mkdir -p "$dir/$port"
  if [ ! -e "$config" ]; then
    (cd "$dir/$port" && node "$root/bin/myelin.js" --generate-config -H "$name" -c "$config" --report-stats no \
      --loopback-only --config-directory "$dir/etc" --data-directory "$dir/$port" >/dev/null)
  fi
  pid=$(cat "$dir/$port/homeserver.pid" 2>/dev/null || true)
  if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
    echo "$name runs already: http://localhost:$port"
    continue
  fi
  # $extra is two words, or none.
  # shellcheck disable=SC2086
  (cd "$dir/$port" && node "$root/bin/myelin.js" -c "$config" -c "$root/demo/lab.yaml" $extra -D -vv)
  echo "$name is ready: http://localhost:$port"
done
echo "Anybody may register. demo/stop.sh ends the three, demo/clean.sh takes away what they keep."
