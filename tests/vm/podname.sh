#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# container.id and k8s.pod.uid from real cgroups, in a VM with cgroup2: see podname.script.
#   tests/vm/podname.sh [run.sh's OPTIONS: --kernel, --mode ...]    (default --kernel 6.12)
# Last line "N passed, N failed, N skipped".
set -u
here=$(dirname "$(readlink -f "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

jq=$(command -v jq) || { echo "podname.sh: needs jq" >&2; exit 2; }
case " $* " in *' --kernel '*) ;; *) set -- --kernel 6.12 "$@" ;; esac
"$here/run.sh" "$@" --out "$dir/vm" --script "$here/podname.script" --program "$jq"
status=$?
[ $status -eq 0 ] || tail -n 40 "$dir"/vm/*/console
exit $status
