#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Records the golden recordings anew: each scenario, live, to tests/golden/NAME.ttr. Then
# tests/replay/run.sh --update writes what they must give; look at that before keeping it.
# Root.
#   tests/replay/golden.sh BUILD-DIRECTORY PORT [SCENARIO...]
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1 port=$2
shift 2
[ $# -gt 0 ] || mapfile -t names < <("$build/tests/scenario" --list | awk '!/long/ { print $1 }')
[ $# -eq 0 ] || names=("$@")
err=$(mktemp)
trap 'rm -f "$err"' EXIT

for name in "${names[@]}"; do
	file=tests/golden/$name.ttr
	: >"$err" # the run before said that it traces, too
	"$build/tcptrail" record "$file" --no-hostname --no-snapshot -P "$port" 2>"$err" &
	tracer=$!
	for _ in $(seq 200); do
		grep -q "tcptrail: tracing" "$err" && break
		sleep 0.05
	done
	"$build/tests/scenario" "$name" --port "$port" </dev/null >/dev/null 2>&1
	status=$?
	sleep 0.5 # what ends after the scenario: lookups, the last ACK
	kill "$tracer"
	wait "$tracer"
	if [ $status != 0 ]; then
		echo "$name: status $status: not kept"
		rm -f "$file"
	fi
done
