#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A live view with --record FILE, and the same view --from FILE: the same bytes, for every
# view. Then what `record` writes: read by every view, rotated, cut, kept by SIGUSR2. Root.
# One "ok" or "not ok" line each, then "N passed, N failed, N skipped".
#   tests/replay/live.sh [BUILD-DIRECTORY] [FIRST-PORT]
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:-build}
port=${2:-28000}
tcptrail=$build/tcptrail
scenario=$build/tests/scenario
passed=0 failed=0 tracer=
dir=$(mktemp -d)

cleanup() {
	[ -z "$tracer" ] || kill "$tracer" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT

if [ "$(id -u)" != 0 ]; then
	echo "ok - replay of live runs # SKIP needs root"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi

# check NAME COMMAND...: what it says is shown if it fails
check() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "ok - $name"
		passed=$((passed + 1))
	else
		echo "not ok - $name"
		head -n 20 <<<"$said" | cut -c 1-300 | sed 's/^/  /'
		failed=$((failed + 1))
	fi
}

wait_for() { # FILE TEXT, said by the tracer while it runs
	for _ in $(seq 1200); do
		grep -q "$2" "$1" 2>/dev/null && return
		kill -0 "$tracer" 2>/dev/null || return
		sleep 0.05
	done
	return 1
}

# start FILE ARGUMENTS...: the tracer in the background, what it says in FILE, until it traces.
# The file of the run before is gone first: the new one is opened by the child, perhaps later than
# the first look at it, and "tracing" would be the old run's.
start() {
	local said=$1
	shift
	rm -f "$said"
	"$tcptrail" "$@" >"$dir/out" 2>"$said" &
	tracer=$!
	wait_for "$said" "tcptrail: tracing"
}

traffic() {
	local i=0 name
	for name in normal linger_reset half_close orphan_fin_wait_2 refused; do
		"$scenario" "$name" --port $((port + 10 * i)) </dev/null >/dev/null 2>&1
		i=$((i + 1))
	done
}

# same FORMAT ARGUMENTS...: live and again
same() {
	local format=$1
	shift
	start "$dir/live.err" "$@" -o "$format" --record "$dir/r.ttr" || [ "$1" = stuck ] || return 1
	traffic
	wait "$tracer" || { cat "$dir/live.err"; return 1; }
	tracer=
	mv "$dir/out" "$dir/live"
	"$tcptrail" "$@" -o "$format" --from "$dir/r.ttr" >"$dir/again" 2>"$dir/again.err" ||
		{ cat "$dir/again.err"; return 1; }
	[ -s "$dir/live" ] || { echo "the live view printed nothing"; return 1; }
	cmp "$dir/live" "$dir/again" || { diff "$dir/live" "$dir/again"; return 1; }
}

# recorded FILE-THAT-MUST-COME ARGUMENTS...: a recording of all the traffic
recorded() {
	local last=$1
	shift
	start "$dir/err" record "$@" || return 1
	traffic
	comes "$last" || { echo "no $last"; return 1; }
	kill -INT "$tracer"
	wait "$tracer" || { cat "$dir/err"; return 1; }
	tracer=
}

comes() { # FILE
	for _ in $(seq 1200); do
		[ -e "$1" ] && return
		sleep 0.05
	done
	return 1
}

conns_of() { # ARGUMENTS...: how many ends of the first connection of the traffic
	ends_at "$port" "$@"
}

ends_at() { # PORT ARGUMENTS...
	local at=$1
	shift
	"$tcptrail" conns -o json "$@" "( sport = :$at or dport = :$at )" 2>"$dir/err" |
		grep -c '"tcp.connection"'
}

a_recording() {
	local view
	recorded "$dir/all.ttr" "$dir/all.ttr" || return 1
	for view in watch events conns timeline states listeners "stuck --all"; do
		# shellcheck disable=SC2086
		"$tcptrail" $view -o json --from "$dir/all.ttr" >"$dir/json" 2>"$dir/err" ||
			{ cat "$dir/err"; return 1; }
		[ -s "$dir/json" ] || { echo "$view printed nothing"; return 1; }
		# shellcheck disable=SC2086
		"$tcptrail" $view --from "$dir/all.ttr" >"$dir/text" 2>"$dir/err" ||
			{ cat "$dir/err"; return 1; }
	done
	[ "$(conns_of --from "$dir/all.ttr")" = 2 ] || { echo "not both ends of our connection"; return 1; }
}

# Without --interval one report and the end, in both forms, and -c counts sockets.
listeners_once() {
	local rows records
	rows=$("$tcptrail" listeners --from "$dir/all.ttr" 2>"$dir/err" | tail -n +2 | wc -l)
	records=$("$tcptrail" listeners -o json --from "$dir/all.ttr" 2>"$dir/err" |
		tee "$dir/json" | grep -c '"tcp.listener"')
	if [ "$rows" = 0 ] || [ "$rows" != "$records" ]; then
		echo "$rows rows, $records records"
		return 1
	fi
	[ "$(jq -r 'select(.tcp.listener) | .tcp.socket_id' "$dir/json" | sort | uniq -d | wc -l)" = 0 ] ||
		return 1
	[ "$("$tcptrail" listeners -c 1 --from "$dir/all.ttr" 2>"$dir/err" | wc -l)" = 2 ] || return 1
	timeout 60 "$tcptrail" listeners -o json >"$dir/json" 2>"$dir/err"
}

without_privilege() {
	chmod 0755 "$dir" && chmod 0644 "$dir/all.ttr" && cp "$tcptrail" "$dir/tcptrail" || return 1
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		"$dir/tcptrail" events --from "$dir/all.ttr" >"$dir/text" && [ -s "$dir/text" ]
}

through_a_pipe() {
	recorded "$dir/out" - || return 1
	"$tcptrail" conns --from - -o json <"$dir/out" 2>"$dir/err" | grep -q tcp.connection
}

# Every length of the last frames: what is whole is shown, the cut is told, nothing breaks.
cut_anywhere() {
	local size at whole said
	size=$(stat -c %s "$dir/all.ttr")
	whole=$("$tcptrail" events -o json --from "$dir/all.ttr" 2>/dev/null | wc -l)
	for at in 31 40 $((size / 7)) $((size / 3)) $((size / 2)) $((size - 1)); do
		head -c "$at" "$dir/all.ttr" >"$dir/cut.ttr"
		said=$("$tcptrail" events -o json --from "$dir/cut.ttr" 2>&1 >"$dir/json")
		case $?:$said in
		0:*"cut at offset"*) [ "$(wc -l <"$dir/json")" -le "$whole" ] || return 1 ;;
		2:*"offset"*) [ "$(wc -l <<<"$said")" = 1 ] || return 1 ;;
		*) echo "$at: $said"; return 1 ;;
		esac
	done
}

rotated() {
	rm -f "$dir"/rot.ttr*
	recorded "$dir/rot.ttr.4" "$dir/rot.ttr" --rotate-time 1 --keep 2 || return 1
	set -- "$dir"/rot.ttr*
	[ $# = 3 ] || { echo "$*"; return 1; }
	rm -f "$dir"/rot.ttr*
	recorded "$dir/rot.ttr.2" "$dir/rot.ttr" --rotate-time 1 || return 1
	local from=() f
	for f in "$dir"/rot.ttr*; do from+=(--from "$f"); done
	[ ${#from[@]} -ge 6 ] || { echo "${from[@]}"; return 1; }
	[ "$(conns_of "${from[@]}")" = 2 ] || { cat "$dir/err"; return 1; }
}

flight_recorder() {
	start "$dir/err" record "$dir/last.ttr" --last 30s || return 1
	traffic
	[ ! -e "$dir/last.ttr" ] || { echo "written before it was asked for"; return 1; }
	kill -USR2 "$tracer"
	wait_for "$dir/err" "kept the last" || { cat "$dir/err"; return 1; }
	kill -USR2 "$tracer"
	comes "$dir/last.ttr.1" || return 1
	kill "$tracer"
	wait "$tracer" || return 1
	tracer=
	# the one that was refused just before SIGUSR2 as well
	[ "$(ends_at $((port + 40)) --from "$dir/last.ttr.1")" = 1 ] || { echo "not the last"; return 1; }
	[ "$(conns_of --from "$dir/last.ttr.1")" = 2 ] && [ "$(conns_of --from "$dir/last.ttr")" = 2 ]
}

for view in watch events conns timeline states listeners; do
	check "$view: live and again" same json $view -d 3
done
check "events filtered in the kernel: live and again" same json events -d 2 -P "$port"
check "conns --until reaped --open: live and again" same json conns -d 2 --until reaped --open
check "conns as csv: live and again" same csv conns -d 2
check "conns -c 2: live and again" same json conns -c 2 -d 5
check "states --interval 0.5: live and again" same json states --interval 0.5 -d 2
check "stuck: live and again" same json stuck --all
check "stuck -d: live and again" same json stuck --all -d 2
check "stuck --watch: live and again" same json stuck --all --watch -d 3
check "stuck --watch -P: live and again" same json stuck --all --watch -d 3 -P "$port"
check "stuck as csv: live and again" same csv stuck --all
check "record, read by every view" a_recording
check "listeners: one report and the end" listeners_once
check "read without privileges" without_privilege
check "through a pipe" through_a_pipe
check "cut anywhere" cut_anywhere
check "rotated and merged" rotated
check "flight recorder" flight_recorder

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
