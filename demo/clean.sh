#!/bin/sh
# Takes away all that the servers of the demo keep: their configuration, keys, databases and logs.
set -eu
cd "$(dirname "$0")"

./stop.sh
rm -rf etc 8080 8081 8082
