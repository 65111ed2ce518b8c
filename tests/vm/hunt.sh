#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Random connections in a VM (tests/kernel/hunt.py says of what kind), so that full mode's records are
# held against the wire as well. The same script and the same judges as on the host.
#   [SEED=1 COUNT=60] tests/vm/hunt.sh [run.sh's OPTIONS: --kernel, --mode ...]
#   (default --kernel 6.12 --mode full)
# Last line "N passed, N failed, N skipped".
# shellcheck source=tests/vm/rig.sh
. "$(dirname "$(readlink -f "$0")")/rig.sh"

flows=$here/../kernel/hunting
program hunt_flows ../kernel/hunting/flows.c "$flows/act.c" "$flows/ends.c" "$flows/plan.c" || exit 2
capture=$(PATH=$PATH:/usr/sbin:/sbin command -v tcpdump) || {
	echo "skip - hunt: tcpdump is not installed"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}
{
	echo "seed=${SEED:-1} count=${COUNT:-60} out=/out/all"
	# shellcheck disable=SC2016 # expanded in the VM
	echo 'mode=$(sed -n "s/.*--mode //p" /job/doctor)'
	cat "$flows/hunt.script"
} >"$dir/hunt.script"
judged hunt.py --script "$dir/hunt.script" --program "$dir/hunt_flows" --program "$capture"
