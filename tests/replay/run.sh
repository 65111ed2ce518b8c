#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each tests/golden/NAME.ttr, a scenario as a kernel told it, must give what NAME.json has:
# `events`, `conns --open` and `timeline` as JSON; and all of them as text what VIEW.text has. No root, no BTF, nothing of this host.
# One "ok" or "not ok" line each, then "N passed, N failed, N skipped".
#   tests/replay/run.sh [BUILD-DIRECTORY] [--update]
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:-build}
tcptrail=$build/tcptrail
update=${2:-}
passed=0 failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
[ -x "$tcptrail" ] || { echo "$tcptrail: not built" >&2; exit 2; }

gives() {
	local args
	for args in "events" "conns --open" "timeline --open"; do
		echo "# $args"
		# shellcheck disable=SC2086
		"$tcptrail" $args -o json --from "$1" 2>"$dir/err" || { cat "$dir/err"; return 1; }
	done
}

ok() {
	echo "ok - $1"
	passed=$((passed + 1))
}

not_ok() {
	echo "not ok - $1"
	head -n 12 "$dir/said" | cut -c 1-300 | sed 's/^/  /'
	failed=$((failed + 1))
}

check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$dir/said" 2>&1; then ok "$name"; else not_ok "$name"; fi
}

golden() {
	gives "$1" >"$dir/json" || { cat "$dir/json"; return 1; }
	[ "$update" != --update ] || cp "$dir/json" "${1%.ttr}.json"
	diff "${1%.ttr}.json" "$dir/json"
}

# Text views draw the same too: none of them may fail on any recording.
drawn() {
	local view
	for view in watch events conns timeline states listeners stuck; do
		"$tcptrail" $view --from "$1" >"$dir/text" 2>"$dir/err" || { cat "$dir/err"; return 1; }
	done
}

# What people read, of all recordings in one file a view: tests/golden/VIEW.text.
reads() {
	local f
	for f in tests/golden/*.ttr; do
		echo "### $(basename "$f" .ttr)"
		TZ=UTC COLUMNS=80 "$tcptrail" "$1" --from "$f" 2>&1 || return 1
	done >"$dir/text"
	[ "$update" != --update ] || cp "$dir/text" "tests/golden/$1.text"
	diff "tests/golden/$1.text" "$dir/text"
}

# No line of an IPv4 recording has more than 80 columns by default. (Every glyph takes one.)
fits() {
	local view=$1 f
	for f in tests/golden/*.ttr; do
		case $f in */ipv6.ttr) continue ;; esac
		# shellcheck disable=SC2086
		"$tcptrail" $view --from "$f" 2>"$dir/err" >"$dir/text" || { cat "$dir/err"; return 1; }
		! LC_ALL=C.UTF-8 grep -HnE --label="$f" '^.{81}' <"$dir/text" || return 1
	done
}

explains() {
	! "$tcptrail" stuck --explain all | LC_ALL=C.UTF-8 grep -nE '^.{81}'
}

# wrong NAME EXPECTED ARGUMENT...: one line, status 2, nothing on stdout
wrong() {
	local want=$1 status
	shift
	"$tcptrail" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
	cat "$dir/err"
	[ $status = 2 ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" = 1 ] &&
		grep -qE "^tcptrail: $want\$" "$dir/err"
}

# What can be read before the place that is wrong is shown; that place is one line.
spoilt() {
	local status
	"$tcptrail" events -o json --from "$1" >"$dir/out" 2>"$dir/err"
	status=$?
	cat "$dir/err"
	[ $status = 2 ] && [ -s "$dir/out" ] &&
		grep -qE "^tcptrail: [^ ]+: offset [0-9]+: $2\$" "$dir/err"
}

byte_at() { # FILE OFFSET: that byte is another one
	local old
	old=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "\\x$(printf %x $((old ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Two hosts, one 1000 s longer up and its wall clock 0.3 s ahead: the offset is found and
# said, and their connection is one, with the verdicts that the one host gave.
two_hosts() {
	local ahead=$1 word=$2 want got
	python3 tests/replay/split.py tests/golden/two_hosts.ttr "$dir/a.ttr" "$dir/b.ttr" 1000 "$ahead" ||
		return 1
	"$tcptrail" conns -o json --from "$dir/a.ttr" --from "$dir/b.ttr" >"$dir/json" 2>"$dir/err" ||
		{ cat "$dir/err"; return 1; }
	# "278ms ahead of ..., give or take 21.7ms": right within what it says of itself
	sed -nE "s/.*clock of second is ([0-9.]+)ms $word .*give or take ([0-9.]+)([mu])s, by 1 connection.*/\1 \2 \3/p" \
		"$dir/err" | awk '{ e = $3 == "u" ? $2 / 1000 : $2; d = $1 - 300
			ok = d <= e + 1 && -d <= e + 1 && e < 100 } END { exit !ok }' ||
		{ cat "$dir/err"; return 1; }
	want=$("$tcptrail" conns -o json --from tests/golden/two_hosts.ttr 2>/dev/null | story)
	got=$(story <"$dir/json")
	diff <(echo "$want") <(echo "$got")
}

story() { # what must be the same, whoever's clock it is
	grep '"tcp.connection"' | jq -c '[.tcp.role, .tcp.conn_state, .tcp.handshake.kind,
		.tcp.teardown.kind, .tcp.teardown.initiator, .tcp.teardown.time_wait,
		.tcp.evidence, .network.community_id, .tcp.end_reason]' | sort
}

one=
for file in tests/golden/*.ttr; do
	name=$(basename "$file" .ttr)
	check "$name gives what it gave" golden "$file"
	check "$name is drawn by every view" drawn "$file"
	one=$file
done
for view in watch conns events timeline; do
	check "$view: what people read" reads $view
done
for view in "watch --open" "conns --open" events "timeline --open" states listeners stuck \
	"stuck --list --min-age 0" "stuck --all"; do
	check "$view: 80 columns" fits "$view"
done
[ -n "$one" ] || { echo "not ok - there is no golden recording"; failed=$((failed + 1)); }

check "stuck --explain: 80 columns" explains

check "two hosts, one clock ahead" two_hosts 0.3 ahead
check "two hosts, one clock behind" two_hosts -0.3 behind

size=$(stat -c %s "$one")
check "no such file" wrong ".*/none: No such file or directory" events --from "$dir/none"
check "a directory" wrong "/: .*directory" events --from /
head -c 3 "$one" >"$dir/short"
check "a file of three bytes" wrong ".*/short: offset 0: neither .*" events --from "$dir/short"
: >"$dir/empty"
check "an empty file" wrong ".*/empty: offset 0: neither .*" events --from "$dir/empty"
head -c 20 "$one" >"$dir/head"
check "a file cut in its head" wrong ".*/head: offset .*" events --from "$dir/head"
for at in 8 12 14 16 20; do
	cp "$one" "$dir/spoilt"
	byte_at "$dir/spoilt" $at
	check "a head with another byte $at" wrong ".*/spoilt: offset (8|12|14|16): .*" events \
		--from "$dir/spoilt"
done
cp "$one" "$dir/spoilt"
byte_at "$dir/spoilt" 60
check "a frame with another byte" wrong ".*/spoilt: offset 32: a frame .*" events --from "$dir/spoilt"
cp "$one" "$dir/spoilt"
byte_at "$dir/spoilt" $((size - 30))
check "a last frame with another byte" spoilt "$dir/spoilt" ".*"
cp "$one" "$dir/spoilt"
echo "and so on, and so forth" >>"$dir/spoilt"
check "something behind the end" spoilt "$dir/spoilt" "something follows the recording's end"
check "csv's cells are JSON's members" env PYTHONDONTWRITEBYTECODE=1 \
	python3 tests/replay/columns.py "$tcptrail" tests/golden/*.ttr
check "--from and --mode" wrong "--mode: expected without --from" events --from "$one" --mode base
check "--from and --record" wrong "--record: .*" events --from "$one" --record "$dir/x"
check "--speed alone" wrong "--speed: .*" events --speed 1
check "record without a file" wrong "record: expected a FILE, or - for stdout" record
check "--kill --from" wrong "--kill: expected without --from.*" stuck --kill --yes --from "$one"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
