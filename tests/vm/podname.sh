#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# container.id and k8s.pod.uid from real cgroups, in a VM with cgroup2: see podname.script.
#   tests/vm/podname.sh [run.sh's OPTIONS: --kernel, --mode ...]    (default --kernel 6.12)
# Last line "N passed, N failed, N skipped".
# shellcheck source=tests/vm/rig.sh
. "$(dirname "$(readlink -f "$0")")/rig.sh"

jq=$(command -v jq) || { echo "podname.sh: needs jq" >&2; exit 2; }
machine --script "$here/podname.script" --program "$jq"
status=$?
[ $status -eq 0 ] || tail -n 40 "$out"/*/console
exit $status
