#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs test suites one after the other, keeps each one's log, and ends with ONE line of
# sums: "N passed, N failed, N skipped". Non-zero if anything failed.
#   tests/tally.sh [-q] [-d LOG-DIRECTORY] 'NAME: COMMAND'... [-- 'NAME: COMMAND'...]...
#   -q  do not show a suite's output while it runs; show its end if it fails
#   --  what follows, up to the next one, is a lane: the lanes run side by side, each of them
#       one after the other, when what stands before the first "--" has ended
# What a suite's log says: its last line of the form above, else the sum of cmocka's
# lines. A suite that fails without saying so, or passes without saying anything, counts
# as one failed. A NAME ending in "!" is a step and not a suite: it counts as one passed
# or failed by its status alone.
set -u
quiet='' logs=build/logs
while getopts qd: option; do
	case $option in
	q) quiet=1 ;;
	d) logs=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { echo "tally: nothing to run" >&2; exit 2; }
mkdir -p "$logs" || exit 2
sums=$logs/sums
: >"$sums" || exit 2

# figures LOG: "passed failed skipped", or nothing where the log has no result
figures() {
	sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
		/^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ {
			p = $1; f = $3; s = NF > 4 ? $5 : 0; last = 1
		}
		/^\[  (PASSED|FAILED|SKIPPED) +\] .*[0-9]+ test\(s\)/ {
			match($0, /[0-9]+ test\(s\)/)
			n[$2] += substr($0, RSTART, RLENGTH)
			cmocka = 1
		}
		END {
			if (last) print p + 0, f + 0, s + 0
			else if (cmocka) print n["PASSED"] + 0, n["FAILED"] + 0, n["SKIPPED"] + 0
		}'
}

# suite NAME LOG STATUS TIME: adds its figures to the sums
suite() {
	local name=$1 log=$2 status=$3 took=$4 p=0 f=0 s=0 result
	case $name in
	*!) [ "$status" = 0 ] && p=1 || f=1 ;;
	*)
		result=$(figures "$log")
		if [ -n "$result" ]; then
			read -r p f s <<<"$result"
			# it said that all is well and yet failed: a crash, a leak; but for one that
			# could run nothing at all, and named what it skipped
			[ "$status" = 0 ] || [ "$f" != 0 ] || { [ "$p" = 0 ] && [ "$s" != 0 ]; } || f=1
		else
			f=1
			echo "tally: ${name}: gave no result (status $status)" >>"$log"
		fi
		;;
	esac
	echo "$p $f $s" >>"$sums"
	printf '== %s: %d passed, %d failed, %d skipped (status %d, %s, %s)\n' "${name%!}" "$p" "$f" \
		"$s" "$status" "$took" "$log"
	if [ -n "$quiet" ] && [ "$f" != 0 ]; then
		# A failed check's reason is indented behind it.
		awk '/^(not ok|FAIL|\[  FAILED)|[Ee]rror/ { print; said = 6; next }
		     /^[ \t]/ && said-- > 0 { print; next } { said = 0 }' "$log" | head -n 80 | sed 's/^/  /'
		echo "-- the end of $log:"
		tail -n 60 "$log" | sed 's/^/  /'
	fi
	if [ "$s" != 0 ]; then
		grep -E '# SKIP|^\[  SKIPPED \] [a-z]|^skip' "$log" | sed 's/^/   skipped: /'
	fi
}

exec 3>&1
# The processors' time is that of the children it waited for.
TIMEFORMAT='%0R s, of the processors %0U + %0S s'

# lane SPEC...: one after the other; what is said of a suite comes in one piece
lane() {
	local spec name command log status took text
	for spec; do
		name=${spec%%: *}
		command=${spec#*: }
		log=$logs/${name//[^A-Za-z0-9._-]/_}.log
		log=${log/%_.log/.log}
		if [ -n "$quiet" ]; then
			took=$({ time bash -c "$command" >"$log" 2>&1 </dev/null 3>&-; } 2>&1)
		else
			echo "== ${name%!}"
			took=$({
				time bash -c "$command" 2>&1 </dev/null 3>&- | tee "$log" >&3
				exit "${PIPESTATUS[0]}"
			} 2>&1)
		fi
		status=$?
		text=$(suite "$name" "$log" "$status" "$took")
		printf '%s\n' "$text"
	done
}

# A lane is a process group: it ends with this script, and its programs do not ignore SIGINT as
# those of a plain job in the background would.
stop() {
	local pid
	for pid in $(jobs -pr); do
		kill -TERM -- "-$pid" 2>/dev/null
	done
}
trap stop EXIT
trap 'exit 130' INT TERM

steps=() beside='' wanted=0
for spec in "$@" --; do
	if [ "$spec" != -- ]; then
		steps+=("$spec") wanted=$((wanted + 1))
		continue
	fi
	if [ -n "$beside" ]; then
		set -m
		lane "${steps[@]}" &
		set +m
	else
		lane "${steps[@]}"
	fi
	steps=() beside=1
done
wait
awk -v wanted="$wanted" '
	{ p += $1; f += $2; s += $3 }
	END {
		f += wanted - NR # of a lane that died
		printf "%d passed, %d failed, %d skipped\n", p, f, s
		exit f != 0
	}' "$sums"
