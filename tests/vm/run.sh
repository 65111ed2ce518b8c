#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The scenario suite on real kernels: boots each in QEMU (no hardware virtualisation is
# needed), runs every scenario there under its tracers, and has what came back judged by
# tests/kernel/run.py, outside. The last line is `N passed, N failed, N skipped`.
#
# A kernel that cannot be had is a skip with a name, never silence; a VM that does not end
# with its verdict fails all of its scenarios. Exit: 0 nothing failed, 1 something failed,
# 2 usage, 77 nothing could be run.
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$here")")
PATH=$PATH:/usr/sbin:/sbin

usage() {
	cat <<'TEXT'
run.sh [OPTIONS]
  --kernel SERIES    5.10, 6.12, 7 ...; repeatable; default: all that are packaged
  --mode MODE        base, full or both (default full)
  --only NAME        this scenario; repeatable; default: all that --list names
  --virtual-time     skip idle guest time; the long scenarios run too (default)
  --real-time        guest time is wall time; the long scenarios are left out
  --no-long          leave the long scenarios out anyway: two hours, skipped, take minutes
  --tcptrail FILE    static program (default build-static/tcptrail)
  --scenario FILE    static program (default build-static/tests/scenario)
  --out DIR          consoles and results (default build/vm)
  --cache DIR        packaged kernels (default ~/.cache/tcptrail-vm)
  --limit SECONDS    wall time of one VM (default 1800)
  --jobs N           VMs side by side (default: as many as there are processors)
  --script FILE      run this in the VM instead of the suite: its "ok", "not ok", "skip" count
  --program FILE     put this program into the VM as well; repeatable
  --console          show the VMs' consoles, one VM after the other
TEXT
}

die() {
	echo "run.sh: $*" >&2
	exit 2
}

kernels=() only=() fetch=() programs=()
modes=full virtual=1 long=1 limit=1800 console='' script=''
jobs=$(nproc)
tcptrail=$root/build-static/tcptrail
scenario=$root/build-static/tests/scenario
out=$root/build/vm
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernels+=("${2?}") && shift ;;
	--mode) modes=${2?} && shift ;;
	--only) only+=("${2?}") && shift ;;
	--virtual-time) virtual=1 ;;
	--real-time) virtual= && long= ;;
	--no-long) long= ;;
	--tcptrail) tcptrail=$(readlink -f "${2?}") && shift ;;
	--scenario) scenario=$(readlink -f "${2?}") && shift ;;
	--out) out=${2?} && shift ;;
	--cache) fetch=(--cache "${2?}") && shift ;;
	--limit) limit=${2?} && shift ;;
	--jobs) jobs=${2?} && shift ;;
	--script) script=$(readlink -f "${2?}") && shift ;;
	--program) programs+=("$(readlink -f "${2?}")") && shift ;;
	--console) console=1 && jobs=1 ;;
	--help) usage && exit 0 ;;
	*) usage >&2 && die "what is \"$1\"?" ;;
	esac
	shift
done
case $modes in
both) modes='base full' ;;
base | full) ;;
*) die "--mode $modes: expected base, full or both" ;;
esac
[[ $jobs =~ ^[1-9][0-9]*$ ]] || die "--jobs $jobs: expected a number"
[ -x "$tcptrail" ] || die "$tcptrail: not there; \`make static\` makes it"
[ -x "$scenario" ] || die "$scenario: not there; \`make static\` makes it"
command -v qemu-system-x86_64 >/dev/null || die "needs qemu-system-x86_64 (package qemu-system-x86)"

# What is played, `NAME PORT [long]`: each has a port of its own, so that one scenario's
# connections cannot be taken for another's. The long ones only where time is virtual.
plan() {
	"$scenario" --list | awk -v only=" ${only[*]} " -v all="$long" '
		{ long = / long .*\]$/ ? "long" : "" }
		only != "  " ? index(only, " " $1 " ") : all || !long { print $1, 24000 + NR, long }
	'
}

# Who watches: a tag (its output is TAG.out) and the tracer's arguments.
tracers() {
	echo "conns conns -o json --mode $1"
	echo "reaped conns -o json --until reaped --mode $1"
	echo "events events -o json --mode $1"
}

# boot IMAGE KERNEL_DIR DIR: QEMU's exit status, 33 when the guest says that all ran.
boot() {
	local time=()
	[ -z "$virtual" ] || time=(-icount 'shift=auto,sleep=off')
	timeout --foreground -s KILL "$limit" qemu-system-x86_64 -accel tcg -cpu max -smp 1 -m 512 \
		-display none -no-reboot -nodefaults -no-user-config \
		-serial stdio -serial "file:$3/out.tgz" \
		-device isa-debug-exit,iobase=0xf4,iosize=0x04 \
		-kernel "$2/vmlinuz" -initrd "$1" -append 'console=ttyS0 quiet panic=-1' \
		"${time[@]}" </dev/null 2>&1 |
		if [ -n "$console" ]; then tee "$3/console" >&2; else cat >"$3/console"; fi
	return "${PIPESTATUS[0]}"
}

# verifier DIR RELEASE MODE: `COUNT HOOK` for every program that this kernel took into DIR/instructions: the
# instructions that its verifier walked, before 5.16 (`*`) the program's own; and the verdict
# on all of them: a hook refused is a failure. 5.10 has no bpf_sock_from_file in iterators.
verifier() {
	local doctor=$1/results/doctor.json known=none
	case $2 in 5.10.*) known=iter/task_file ;; esac
	jq -r '.tracer.hooks[] | select(.instructions) |
		"\(.verified_instructions // "\(.instructions)*") \(.attach)"' "$doctor" \
		>"$1/instructions" 2>/dev/null
	jq -r --arg known "$known" '.tracer.hooks[] |
		select(.status == "refused" and .attach != $known) |
		"the kernel refused \(.attach): \(.error)"' "$doctor" >"$1/refused" 2>/dev/null
	if [ -s "$1/instructions" ] && [ ! -s "$1/refused" ]; then
		echo "pass (verifier)"
	else
		echo "fail (verifier)"
		sed "s|^|$2 $3: |" "$1/refused" >&2
	fi
}

# judge DIR MODE STATUS RELEASE: `VERDICT NAME` for every scenario of the plan into DIR/verdicts. What
# the checker says nothing of has not been checked: that is a failure, as is a tracer that
# did not start or did not end by SIGINT.
judge() {
	"$root/tests/kernel/run.py" --from-dir "$1/results" --mode "$2" --kernel "$4" \
		>"$1/check" 2>&1
	awk -v status="$3" '
		FNR == NR { verdict[$2] = $1; next }
		FNR == 1 {
			print status == 33 ? "pass" : "fail", "(tracers)"
			print "all" in verdict ? verdict["all"] : "fail", "(records)"
		}
		{ print verdict[$1] ~ /^(pass|skip)$/ ? verdict[$1] : "fail", $1 }
	' "$1/check" "$1/job/plan" >"$1/verdicts"
	verifier "$1" "$4" "$2" >>"$1/verdicts"
}

# run_vm SERIES KERNEL_DIR MODE RELEASE: fills $out/SERIES-MODE/{console,results/,check,verdicts}.
run_vm() {
	local dir=$out/$1-$3 status
	rm -rf "$dir"
	mkdir -p "$dir/results" "$dir/job"
	plan >"$dir/job/plan"
	tracers "$3" >"$dir/job/tracers"
	echo "doctor -o json --mode $3" >"$dir/job/doctor"
	[ -z "$script" ] || cp "$script" "$dir/job/script"
	"$here/initramfs.sh" "$dir/image" "$2" "$dir/job" "$tcptrail" "$scenario" \
		"${programs[@]}" ||
		die "cannot make an image"
	boot "$dir/image" "$2" "$dir"
	status=$?
	rm -f "$dir/image"
	tar -C "$dir/results" -xzf "$dir/out.tgz" 2>/dev/null || [ -n "$script" ] || status=1
	rm -f "$dir/out.tgz"
	if [ $status -ne 33 ]; then
		echo "$1 $3: the VM ended with $status, not with 33; the end of its console:"
		tail -n 12 "$dir/console"
	fi
	if [ -n "$script" ]; then
		tr -d '\r' <"$dir/console" | grep -E '^(ok|not ok|skip) - ' | tee "$dir/said"
		[ $status -eq 33 ] || echo "not ok - $1 $3: its verdict" | tee -a "$dir/said"
		return
	fi
	judge "$dir" "$3" "$status" "$4"
	awk -v shown=40 -v where="$dir/check" '
		/^not ok/ { bad = 1; n++ }
		/^(ok|skip|pass|fail) / { bad = 0 }
		/^Traceback/ { bad = 1; n = 1 }
		bad && n <= shown
		END { if (n > shown) print "... and " n - shown " more: " where }
	' "$dir/check" | sed "s|^|$1 $3: |"
}

# report FILE WHAT COLUMN...: a row per scenario or hook, a column per kernel and mode.
report() {
	local file=$1 what=$2
	shift 2
	awk -v columns="$*" -v what="$what" '
		BEGIN { n = split(columns, column, " ") }
		FNR == 1 { file++ }
		{ verdict[$2, file] = $1 }
		!($2 in seen) { seen[$2]; name[++rows] = $2 }
		END {
			printf "%-42s", what
			for (i = 1; i <= n; i++) printf " %-10s", column[i]
			print ""
			for (r = 1; r <= rows; r++) {
				printf "%-42s", name[r]
				for (i = 1; i <= n; i++)
					printf " %-10s", (name[r], i) in verdict ? verdict[name[r], i] : "-"
				print ""
			}
		}
	' "${@/%//$file}"
}

# ---- all of it -----------------------------------------------------------------

# vm SERIES KERNEL_DIR MODE RELEASE: what is said of one VM comes in one piece, at its end.
vm() {
	local start=$SECONDS dir=$out/$1-$3 text
	text=$(run_vm "$@" 2>&1)
	[ -e "$dir/said" ] || [ -z "$script" ] || echo "not ok - $1 $3: no VM" >"$dir/said"
	[ -s "$dir/verdicts" ] || [ -n "$script" ] || echo "fail (VM)" >"$dir/verdicts"
	printf '%s\n' "${text:+$text
}kernel $4, $3 mode: $((SECONDS - start)) s"
}

# Each VM's job is a process group: nothing of it outlives this script.
stop() {
	local pid
	for pid in $(jobs -pr); do
		kill -KILL -- "-$pid" 2>/dev/null
	done
}

[ -n "$(plan)" ] || die "no such scenario: ${only[*]}"
mkdir -p "$out"
columns=() missing=0
trap stop EXIT
trap 'exit 130' INT TERM
while IFS=$'\t' read -r series release where; do
	if [ "$release" = skip ]; then
		echo "SKIP kernel $series: $where"
		missing=$((missing + 1))
		continue
	fi
	for mode in $modes; do
		while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do
			wait -n
		done
		columns+=("$series-$mode")
		set -m
		vm "$series" "$where" "$mode" "$release" </dev/null &
		set +m
	done
done < <("$here/kernels.py" "${fetch[@]}" "${kernels[@]}")
wait

# count FILE WORD
count() {
	[ ${#columns[@]} -gt 0 ] && (cd "$out" && cat "${columns[@]/%//$1}") | grep -c "^$2 "
}
if [ -n "$script" ]; then
	passed=$(count said ok) failed=$(count said 'not ok') skipped=$(count said skip)
else
	passed=$(count verdicts pass) failed=$(count verdicts fail) skipped=$(count verdicts skip)
fi
[ -n "$script" ] || [ ${#columns[@]} -eq 0 ] || (
	cd "$out" || exit
	report instructions 'instructions verified (*: of the program)' "${columns[@]}"
	echo
	report verdicts scenario "${columns[@]}"
)
echo "$((passed)) passed, $((failed)) failed, $((skipped + missing)) skipped"
[ $((failed)) -eq 0 ] || exit 1
[ $((passed)) -gt 0 ] || exit 77
