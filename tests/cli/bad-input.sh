#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command line from outside: every mistake is one line on stderr that shows where and
# what was expected, with exit status 2 and nothing on stdout; every end (SIGINT, SIGTERM,
# a reader that goes, one that is stuck, a full disk, no privilege) is the promised one.
# The second half traces for real and is skipped by name without root.
#   tests/cli/bad-input.sh [BUILD-DIRECTORY]
# "ok"/"not ok" lines, then "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 2
tcptrail=${1:-build}/tcptrail
[ -x "$tcptrail" ] || { echo "$tcptrail: not built" >&2; exit 2; }
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

exec 3>&1 # results: the tracer's own stdout is redirected
ok() { echo "ok - $1" >&3; passed=$((passed + 1)); }
not_ok() {
	echo "not ok - $1" >&3
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@" >&3
	failed=$((failed + 1))
}
# check NAME CONDITION...: a test(1) expression
check() {
	local name=$1
	shift
	if [ "$@" ]; then ok "$name"; else not_ok "$name" "$*"; fi
}

# mistake 'EXPECTED-REGEX' ARG...: exactly that one line, status 2, stdout empty
mistake() {
	local want=$1 status
	shift
	timeout 60 "$tcptrail" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	if [ $status -eq 2 ] && [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
		grep -qE "^tcptrail: $want\$" "$work/err"; then
		ok "tcptrail ${*@Q}"
	else
		not_ok "tcptrail ${*@Q}" "status $status, expected 2" "expected: tcptrail: $want" \
			"stderr: $(head -c 600 "$work/err")" "stdout: $(head -c 200 "$work/out")"
	fi
}

# ---- mistakes ------------------------------------------------------------------------

mistake "unknown command 'evnts': did you mean 'events'\?" evnts
mistake "unknown command 'conn': did you mean 'conns'\?" conn
mistake "unknown command 'nonsense': expected one of watch, .*doctor, or a FILTER" nonsense
mistake "unknown command '': expected one of .*" ''
mistake "unknown option '--durtion': did you mean '--duration'\?" events --durtion 5
mistake "unknown option '-Z': 'tcptrail --help' lists them" events -Z
mistake "unknown option '--\\\\x1b\[31m': .*" $'--\e[31m'

mistake "--packets: not an option of 'serve': .*" serve --packets
mistake "--listen: not an option of 'timeline': .*" timeline --listen 1
mistake "--output: 'xml': expected text, json, otlp-json or csv for 'conns'" conns -o xml
mistake "--output: 'csv': expected text, json or otlp-json for 'events'" events -o csv
mistake "-o: expected text, json, otlp-json or csv" conns -o
mistake "-d: 'soon': expected seconds .*" conns -d soon
mistake "--duration: '-1': expected seconds .*" conns --duration=-1
mistake "-c: '0': expected a number of records, 1 or more" conns -c 0
mistake "--interval: '': expected seconds .*" states --interval ''
mistake "--interval: not an option of 'conns': .*" conns --interval 1
mistake "--allow-kill: not an option of 'stuck': .*" stuck --allow-kill
mistake "--time: expected without --kill and --check" stuck --check -T
mistake "--time: not an option of 'record': .*" record /dev/null -T
mistake "--packets: not an option of 'serve': .*" serve --packets
mistake "--listen: not an option of 'timeline': .*" timeline --listen 1
mistake "top: stdout is not a terminal .*" top
for option in '--rotate-size 1M' '--rotate-time 5m' '--rotate-size 1M --keep 2' '--last 5m'; do
	# shellcheck disable=SC2086 # an option and its value
	mistake "${option%% *}: expected a FILE, not - \(stdout\)" record - $option
done
for c in top serve 'record /dev/null'; do
	# shellcheck disable=SC2086 # a command and its file
	mistake "--count: not an option of '${c%% *}': .*" $c -c 1
done
mistake "--until: 'end': expected reaped" conns --until end
mistake "--mode: 'turbo': expected auto, base or full" conns --mode turbo
mistake "--color: 'red': expected auto, always or never" conns --color red
mistake "--buffer: '4K': expected a size from 64K to 1G" conns --buffer 4K
mistake "--buffer: '2G': expected a size from 64K to 1G" conns --buffer 2G
mistake "--max-connections: '-5': expected a number from 1 to 16777216" conns --max-connections -5
mistake "--open: 'yes': expected no value" conns --open=yes
mistake "doctor: 'dport': expected no FILTER" doctor dport = 80

mistake "--from: 'tests/golden/../golden/normal.ttr': the same file as 'tests/golden/normal.ttr'" \
	conns --from tests/golden/normal.ttr --from tests/golden/refused.ttr \
	--from tests/golden/../golden/normal.ttr

for format in text json; do
	mistake "--packets: expected a capture \(pcap, pcapng\): a recording has no packets" \
		timeline --packets -o $format --from tests/golden/normal.ttr
done

mistake "-p: 'nginx': expected a process id" conns -p nginx
mistake "-u: 'no-such-user': expected a user's number or name" conns -u no-such-user
mistake "-P: '65536': expected ports 0-65535 such as .*" conns -P 65536
mistake "-L: '80,443,': expected ports 0-65535 .*" conns -L 80,443,
mistake "-D: '8010-8000': expected ports 0-65535 .*" conns -D 8010-8000
mistake "--netns: '/run/netns/none' \(No such file or directory\): expected a network namespace.*" \
	conns --netns /run/netns/none
mistake "--netns: '/etc/passwd': expected a network namespace.*" conns --netns /etc/passwd
mistake "--cgroup: '/no/such/group': expected a cgroup's directory below /sys/fs/cgroup" \
	conns --cgroup /no/such/group

mistake "filter word 3 'htps': expected a port number 0-65535 or a service after 'dport ='" \
	conns dport = htps
mistake "filter word 1 'htps': expected a port number .* after 'dport ='" conns 'dport = htps'
mistake "filter word 3 ':65536': expected a port number 0-65535 .*" conns sport '>' :65536
mistake "filter: expected a port number .* after 'dport =', but it ends there" conns dport =
mistake "filter word 2 'close-wat': expected a state after 'state': established, .*" \
	conns state close-wat
mistake "filter: expected a state after 'state': .*, but it ends there" state
mistake "filter word 2 '10.0.0.0/33': expected ADDRESS\[/PREFIX\]\[:PORT\] .* after 'dst'" \
	conns dst 10.0.0.0/33
mistake "filter word 2 '\[::1': expected ADDRESS.* after 'src'" conns src '[::1'
mistake "filter word 2 'inet6:127.0.0.1': expected an IPv6 address after 'inet6:'" \
	conns src inet6:127.0.0.1
mistake "filter word 2 'inet:\[::1\]': expected an IPv4 address after 'inet:'" conns src 'inet:[::1]'
mistake "filter word 3 'nosuch0': expected an interface's name or index after 'dev ='" \
	conns dev = nosuch0
mistake "filter word 1 'autobound': expected another condition: ss's autobound and fwmark .*" \
	autobound
mistake "filter word 3 'five': expected a process id after 'pid ='" conns pid = five
mistake "filter word 2 '=': expected <, <=, > or >= after 'age'" conns age = 5m
mistake "filter word 3 '5': expected a duration such as .* after 'age >'" conns age '>' 5
mistake "filter word 3 'sad': expected a verdict such as .* after 'verdict ='" \
	conns verdict = sad
mistake "filter word 3 'boss': expected client, server, .* after 'role ='" conns role = boss
mistake "filter word 4 'colour': expected a condition: state, .*" conns dport = 80 colour
mistake "filter: expected '\)', a condition, 'and' or 'or', but it ends there" conns '( dport = 80'
mistake "filter word 4 '\)': expected no '\)' here: no '\(' is open" conns dport = 80 ')'
mistake "filter: expected a condition: .*, but it ends there" conns dport = 80 and
mistake "filter word 1 '\\\\x1b\[2J': expected a condition: .*" conns $'\e[2J'

# ---- what is asked for ----------------------------------------------------------------

# said NAME STATUS ARG...: stdout is not empty, stderr is
said() {
	local name=$1 status
	shift
	timeout 60 "$tcptrail" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	check "$name" $status -eq 0 -a -s "$work/out" -a ! -s "$work/err"
}
said "--version" --version
check "--version is one line" "$(wc -l <"$work/out")" -eq 1
for c in '' watch events conns timeline states listeners doctor; do
	# shellcheck disable=SC2086 # no command is no word
	said "$c --help" $c --help
	check "$c --help fits 80 columns" "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0
done
check "--help names every command" "$(timeout 60 "$tcptrail" --help |
	grep -cE '^  (watch|events|conns|timeline|states|listeners|doctor) ')" -eq 7

# -c counts findings, whatever stands above them.
for n in 1 2 3; do
	"$tcptrail" stuck --watch -c $n --from tests/fleet/queues.ttr >"$work/out" 2>"$work/err"
	check "stuck --watch -c $n: so many findings" \
		"$(grep -cE '^(critical|warning|info) ' "$work/out")" -eq $n
done
"$tcptrail" stuck --min-age 0 -c 1 --from tests/golden/netns_destroyed.ttr >"$work/out"
check "stuck -c 1: the counts, and one finding" \
	"$(grep -cE '^(critical|warning|info) |^STATE ' "$work/out")" -eq 2

# -T where there is no column of times: above the picture.
for c in 'stuck --min-age 0' 'stuck --list --min-age 0' states listeners; do
	# shellcheck disable=SC2086 # a command and its options
	"$tcptrail" $c -T --from tests/golden/netns_destroyed.ttr >"$work/out" 2>"$work/err"
	check "$c -T: the wall clock first" $? -eq 0 -a \
		"$(head -n 1 "$work/out" | grep -cE '^[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}( |$)')" -eq 1
done

# ---- ends, for real -------------------------------------------------------------------

finish() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
	exit
}
if [ "$(id -u)" -ne 0 ]; then
	echo "ok - the ends of a run # SKIP they need root"
	skipped=$((skipped + 1))
	finish
fi

port=22080
# One real connection on loopback: a server that says a line and closes, a client that reads.
connect() {
	python3 - "$1" "$port" <<'PY'
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[2])))
for _ in range(int(sys.argv[1])):
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    server.sendall(b"hello\n"); server.close()
    client.recv(16); client.close()
PY
}
# start ARG...: the tracer in the background, its stdout as the caller has set it; sets pid
# and returns when it traces
start() {
	: >"$work/err"
	"$tcptrail" "$@" 2>"$work/err" &
	pid=$!
	tracing "$@"
}
tracing() {
	for _ in $(seq 600); do
		grep -qx 'tcptrail: tracing' "$work/err" && return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	not_ok "tracing: $*" "$(cat "$work/err")"
	return 1
}
# Waits for $pid, at most a minute; sets status (137: it did not end)
ended() {
	timeout 60 tail --pid="$pid" -f /dev/null || kill -9 "$pid"
	wait "$pid" 2>/dev/null
	status=$?
}
lines() { # a file that may still be growing: waits for so many lines of it
	for _ in $(seq 600); do
		[ "$(wc -l <"$1")" -ge "$2" ] && return 0
		sleep 0.1
	done
	return 1
}

for sig in INT TERM HUP; do
	start conns -o json -P $port >"$work/out" || continue
	connect 3
	kill -$sig $pid
	ended
	check "SIG$sig: exit 0" $status -eq 0
	check "SIG$sig: every record is flushed" \
		"$(grep -c '"tcp.connection"' "$work/out")" -eq 6
	check "SIG$sig: says what was lost" \
		"$(grep -cE '^tcptrail: [0-9]+ events .*; (nothing lost|lost: )' "$work/err")" -eq 1
	check "SIG$sig: said once that it traces" \
		"$(grep -cx 'tcptrail: tracing' "$work/err")" -eq 1
done

if start conns -P $port >"$work/out"; then
	connect 2
	if lines "$work/out" 5; then ok "piped output comes while tracing"; else
		not_ok "piped output comes while tracing" "$(cat "$work/out")"; fi
	kill -USR1 $pid
	if lines "$work/err" 3; then ok "SIGUSR1: a table, and it goes on"; else
		not_ok "SIGUSR1" "$(cat "$work/err")"; fi
	check "SIGUSR1 does not end it" "$(kill -0 $pid && echo alive)" = alive
	kill -INT $pid
	ended
	check "SIGUSR1: exit 0 at the end" $status -eq 0
fi

if start conns -o json -c 2 -P $port >"$work/out"; then
	connect 5
	ended
	check "-c 2: exit 0" $status -eq 0
	check "-c 2: two records" "$(grep -c '"tcp.connection"' "$work/out")" -eq 2
fi
timeout 60 "$tcptrail" record "$work/flight.ttr" --last 5 -d 0.5 2>"$work/err"
check "record --last, and nobody asks: exit 0" $? -eq 0
check "record --last, and nobody asks: said" \
	"$(grep -c 'flight.ttr: nothing was kept: ' "$work/err")" -eq 1 -a ! -e "$work/flight.ttr"
timeout 60 "$tcptrail" conns -d 0.5 -P $port >"$work/out" 2>"$work/err"
check "-d: exit 0" $? -eq 0

# A reader that goes after the first line. The status is the tracer's own.
mkfifo "$work/pipe"
head -n 1 "$work/pipe" >"$work/first" &
reader=$!
if start events -o json -P $port >"$work/pipe"; then
	connect 5
	ended
	check "a closed pipe: exit 0" $status -eq 0
	check "a closed pipe: no complaint" \
		"$(grep -cvE '^tcptrail: (tracing|base mode)' "$work/err")" -eq 0
fi
wait $reader
check "a closed pipe: the line arrived" "$(wc -l <"$work/first")" -eq 1

# A reader that takes nothing: the tracer goes on, ends when told to, and says what is lost.
# shellcheck disable=SC2217 # it holds the pipe and reads nothing
sleep 600 <"$work/pipe" &
reader=$!
if start events -o json -P $port >"$work/pipe"; then
	connect 200
	kill -INT $pid
	ended
	check "a stuck reader: exit 0" $status -eq 0
	check "a stuck reader: records that were not written are lost" \
		"$(grep -cE 'lost: [0-9]+ output slow' "$work/err")" -eq 1
fi
kill $reader 2>/dev/null
wait $reader 2>/dev/null

if start events -o json -P $port >/dev/full; then
	connect 2
	ended
	check "a full disk: exit 2" $status -eq 2
	check "a full disk: one line" \
		"$(grep -cx 'tcptrail: stdout: No space left on device' "$work/err")" -eq 1
fi

# Without privilege: one line that names what is missing and the command that gives it.
if command -v setpriv >/dev/null; then
	chmod 755 "$work"
	cp "$tcptrail" "$work/tcptrail"
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		"$work/tcptrail" conns >"$work/out" 2>"$work/err" </dev/null
	check "no privilege: exit 2" $? -eq 2
	check "no privilege: one line" "$(wc -l <"$work/err")" -eq 1
	check "no privilege: names the capability" \
		"$(grep -cE '^tcptrail: .*CAP_BPF' "$work/err")" -eq 1
else
	echo "ok - no privilege # SKIP setpriv is not installed"
	skipped=$((skipped + 1))
fi
finish
