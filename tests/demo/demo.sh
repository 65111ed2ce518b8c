#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A handful of real connections on the loopback, and what tcptrail says of them: a normal
# one, a half-close, a refused one, a reset, a leaked CLOSE_WAIT. Ends by itself.
# Usage: tests/demo/demo.sh [BUILD_DIR]
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:-build}
tcptrail=$build/tcptrail scenario=$build/tests/scenario
PORT=24900
READY_LIMIT_S=15

# Name, and what a reader should look for.
DEMOS=(
	"normal|A normal connection|the client asks, the server answers, the client closes first: TIME_WAIT is the client's"
	"half_close|A half-close|the client is done sending, shutdown(SHUT_WR); the server still answers"
	"refused|A refused connection|nobody listens there: the SYN is answered by RST"
	"linger_reset|A reset|the client closes with SO_LINGER 0: a RST instead of a FIN"
	"close_wait_leak|A leaked CLOSE_WAIT|the server read the end of file and did not close for three seconds; what \`stuck\` says meanwhile, and the whole in the end"
)

for program in "$tcptrail" "$scenario"; do
	[ -x "$program" ] || { echo "demo: $program is not there; \`make demo\` makes it" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "demo: tracing needs root: sudo make demo" >&2; exit 2; }

work=$(mktemp -d)
tracer=''
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	[ -z "$tracer" ] || kill -INT "$tracer" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

# start PORT: a tracer for that port alone
start() {
	local tries=0
	: >"$work/err" # the last tracer said that it traces, too
	"$tcptrail" timeline --color auto -P "$1" >"$work/out" 2>"$work/err" &
	tracer=$!
	until grep -q 'tcptrail: tracing' "$work/err"; do
		tries=$((tries + 1))
		if ! kill -0 "$tracer" 2>/dev/null || [ $tries -gt $((READY_LIMIT_S * 20)) ]; then
			echo "demo: tcptrail did not start:" >&2
			cat "$work/err" >&2
			exit 1
		fi
		sleep 0.05
	done
}

stop() {
	sleep 0.3
	kill -INT "$tracer" && wait "$tracer"
	tracer=''
}

# leak NAME PORT: the scenario with the socket held, and in the midst of it what hangs.
leak() {
	"$scenario" "$1" --port "$2" --hold 3000 >/dev/null &
	sleep 1.5
	"$tcptrail" stuck --color auto --min-age 1s -P "$2" || rc=1
	echo
	wait $! || rc=1
}

rc=0
i=0
for demo in "${DEMOS[@]}"; do
	IFS='|' read -r name title look <<<"$demo"
	i=$((i + 1))
	printf '\n=== %d. %s\n    %s\n\n' $i "$title" "$look"
	start $((PORT + i))
	case $name in
	close_wait_leak) leak "$name" $((PORT + i)) ;;
	*) "$scenario" "$name" --port $((PORT + i)) >/dev/null || rc=1 ;;
	esac
	stop || rc=1
	if [ -s "$work/out" ]; then
		cat "$work/out"
	else
		echo "demo: tcptrail said nothing of it:" >&2
		cat "$work/err" >&2
		rc=1
	fi
done
exit $rc
