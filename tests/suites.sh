#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the suites named, shows what each says, and closes with one line that sums them:
#   N passed, N failed, N skipped
# Usage: tests/suites.sh BUILD_DIR SUITE...
set -u
cd "$(dirname "$0")/.." || exit 2
build=$1
shift

suite_unit() {
	local t rc=0 pass=0 fail=0 out n
	for t in "$build"/tests/test_*; do
		[[ -x $t && $t != *.d ]] || continue
		out=$("$t" 2>&1) || { rc=1; echo "$out"; }
		pass=$((pass + $(grep -c '^\[       OK \]' <<<"$out")))
		n=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s), listed below:$/\1/p' <<<"$out" | head -n 1)
		fail=$((fail + ${n:-0}))
		# A program that died before its summary counts as one failure.
		grep -q '^\[==========\].*run' <<<"$out" || fail=$((fail + 1))
	done
	[[ $((pass + fail)) -gt 0 ]] || { echo "unit: no test is built"; fail=1; }
	echo "$pass passed, $fail failed, 0 skipped"
	return $rc
}
suite_lint() { tests/lint/run.sh; }
suite_cli() { tests/cli/bad-input.sh "$build"; }
suite_kernel() { python3 tests/kernel/run.py --tcptrail "$build/tcptrail" --scenario "$build/tests/scenario"; }
suite_schema() { tests/schema/run "$build"; }
suite_sweep() { tests/kernel/sweep.py --tcptrail "$build/tcptrail" --churn "$build/tests/churn"; }
suite_apart() { tests/kernel/apart.py --tcptrail "$build/tcptrail"; }
suite_ledger() { tests/kernel/ledger.py --tcptrail "$build/tcptrail" --scenario "$build/tests/scenario"; }
suite_stuck() { python3 tests/kernel/stuck.py --tcptrail "$build/tcptrail"; }
suite_stack() { python3 tests/kernel/stack.py --tcptrail "$build/tcptrail" --calls "$build/tests/calls"; }
suite_replay() { tests/replay/run.sh "$build"; }
suite_captures() { python3 tests/captures/run.py --tcptrail "$build/tcptrail" --scenario "$build/tests/scenario"; }
suite_live_replay() { tests/replay/live.sh "$build"; }
suite_fleet() { tests/fleet/run.py --tcptrail "$build/tcptrail"; }
suite_serve() { python3 tests/serve/run.py --tcptrail "$build/tcptrail"; }
suite_top() { python3 tests/top/run.py --tcptrail "$build/tcptrail"; }
suite_faults() { python3 tests/kernel/faults.py --tcptrail "$build/tcptrail" --scenario "$build/tests/scenario"; }
# In a network namespace of its own: its churn fills the TIME_WAIT buckets for a minute, and while
# they are full no connection gets a TIME_WAIT, whose ever it is.
suite_soak() {
	local apart=()
	# shellcheck disable=SC2016 # expanded by the shell in there
	[ "$(id -u)" != 0 ] || apart=(unshare -n sh -c 'ip link set lo up && exec "$0" "$@"')
	"${apart[@]}" python3 tests/kernel/soak.py --tcptrail "$build/tcptrail" --churn "$build/tests/churn"
}
suite_security() { python3 tests/security/run.py --tcptrail "$build/tcptrail"; }
suite_packages() { python3 tests/packages/run.py --tcptrail "$build/tcptrail"; }
suite_crosscheck() { python3 tests/kernel/crosscheck.py --tcptrail "$build/tcptrail" --scenario "$build/tests/scenario"; }

passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for s in "$@"; do
	echo "== $s"
	TIMEFORMAT="== $s: %0R s, of the processors %0U + %0S s"
	time "suite_$s" 2>&1 | tee "$log"
	rc=${PIPESTATUS[0]}
	if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
		skipped=$((skipped + BASH_REMATCH[3]))
		[[ $rc -eq 0 || ${BASH_REMATCH[2]} -gt 0 ]] || failed=$((failed + 1))
	else
		echo "$s: ended without its closing line (status $rc)"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]]
