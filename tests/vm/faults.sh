#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
#
# Faults that need a machine of their own: tests/vm/run.sh --script tests/vm/faults.sh.
# The clock is stepped an hour forward and two back under a running tracer: times move, no
# duration does. Fentry is taken away, and BTF. The kernel is locked down, at integrity and at
# confidentiality.
# "ok"/"not ok" lines on the console; exit 0 when all of them are ok.

failed=0
check() {
	name=$1
	shift
	if [ "$@" ]; then
		echo "ok - $name"
	else
		echo "not ok - $name: $*"
		failed=1
	fi
}

# What a run says: perhaps which hooks this kernel has not, then that it traces, and its end.
summary='^tcptrail: [0-9]* events ([^()]*), [0-9]* connections* ended, in [^;]*'
whole='\(; [0-9]* hooks* missing\)*$'

# start ARG...: in the background, until it traces; its records to /tmp/out. Sets pid.
start() {
	rm -f /tmp/err # or the look below may read the run before: the child opens it anew
	tcptrail "$@" >/tmp/out 2>/tmp/err &
	pid=$!
	for _ in $(seq 600); do
		grep -qs 'tcptrail: tracing' /tmp/err && break
		kill -0 $pid 2>/dev/null || break
		usleep 100000
	done
}

# stop NAME LINES: exit 0, nothing lost, so many lines beside "not on this kernel"; each end that
# the scenarios made, by their own account, is told once
stop() {
	usleep 500000
	kill -INT $pid 2>/dev/null
	wait $pid
	check "$1: the tracer ends with 0" $? -eq 0
	check "$1: its last line, nothing lost" \
		"$(tail -n 1 /tmp/err | grep -c "$summary; nothing lost$whole")" -eq 1
	check "$1: says no more" "$(grep -vc '^tcptrail: not on this kernel, and unseen: ' /tmp/err)" -eq "$2"
	check "$1: every end is told" "$(grep -c '"tcp.connection"' /tmp/out)" -eq \
		"$(grep -c '"role":' /tmp/truth)"
	check "$1: the ledger says nothing lost" "$(grep -c '"lost":{.*"total":0}' /tmp/out)" -eq 1
	: >/tmp/truth
}

# ---- the clock -----------------------------------------------------------------

now=$(date +%s)
start conns -o json
scenario close_wait_leak --port 24100 --hold 3000 >/tmp/truth &
scenario_pid=$!
usleep 1000000
date -s "@$((now + 3600))" >/dev/null
usleep 300000 # the tracer looks at the clock when it wakes: up to then it has the old one
wait $scenario_pid
scenario normal --port 24101 >>/tmp/truth
date -s "@$((now - 3600))" >/dev/null
usleep 300000
scenario normal --port 24102 >>/tmp/truth
stop "clock stepped" 2
# ns: none is negative, none has an hour in it
check "clock stepped: no duration moved" "$(grep -o '"[a-z_]*duration[a-z_]*":-*[0-9]*' /tmp/out |
	awk -F: '$2 < 0 || $2 > 60000000000' | wc -l)" -eq 0
check "clock stepped: no offset moved" "$(grep -o '"offset_ns":-*[0-9]*' /tmp/out |
	awk -F: '$2 < 0 || $2 > 60000000000' | wc -l)" -eq 0
# the hour is in the times: three of them, an hour and two hours apart
check "clock stepped: the times follow it" "$(grep -o '"end":"[^"]*' /tmp/out | cut -c 8-20 |
	sort -u | wc -l)" -ge 2

# ---- no fentry -------------------------------------------------------------------

# Switched off, 5.10 refuses fentry and 6.12 attaches what it then never calls: one line says it.
off='tcptrail: base mode: ftrace is switched off, and fentry with it (try: sysctl kernel.ftrace_enabled=1)'
if echo 0 >/proc/sys/kernel/ftrace_enabled; then
	start conns -o json
	scenario normal --port 24104 >>/tmp/truth
	stop "no fentry" 3
	check "no fentry: one line says so, with the remedy" "$(grep -cxF \
		"$off; request socks and the end of TIME-WAIT are unseen" /tmp/err)" -eq 1
	tcptrail doctor >/tmp/doctor 2>/tmp/err
	check "no fentry: the doctor is ready, in base mode" "$?$(grep -c '  ready, base mode$' /tmp/doctor)" = 01
	check "no fentry: the doctor has the remedy" "$(grep -c \
		'^  ftrace  *no: no fentry without it (sysctl kernel.ftrace_enabled=1)$' /tmp/doctor)" -eq 1
	check "no fentry: the doctor calls none of them attached" \
		"$(grep -cE '^  f(entry|exit)/.* (attached|there) ' /tmp/doctor)" -eq 0
	echo 1 >/proc/sys/kernel/ftrace_enabled
else
	echo "skip - no fentry: this kernel does not let ftrace be switched off"
fi
start conns -o json
scenario normal --port 24105 >>/tmp/truth
stop "fentry again" 2

# ---- killed in full mode -----------------------------------------------------------

# fentry's programs hang in the kernel's functions: ftrace itself says in how many
hung() { wc -l </sys/kernel/tracing/enabled_functions; }
free=$(hung)
start conns -o json
check "killed in full mode: it hung in functions" "$(hung)" -gt "$free"
scenario normal --port 24106 >/dev/null
kill -KILL $pid
wait $pid
check "killed in full mode: its status" $? -eq 137
for _ in $(seq 100); do
	[ "$(hung)" -gt "$free" ] || break
	usleep 100000
done
check "killed in full mode: hangs in none" "$(hung)" -eq "$free"
start conns -o json
scenario normal --port 24107 >/tmp/truth
stop "after it was killed" 2

# ---- no BTF ------------------------------------------------------------------------

mount -t tmpfs none /sys/kernel/btf
tcptrail conns >/tmp/out 2>/tmp/err
check "no BTF: exit 2" $? -eq 2
check "no BTF: one line, with what it needs" "$(cat /tmp/err)" = "tcptrail: this kernel has no BTF \
(/sys/kernel/btf/vmlinux): needs Linux 5.10 or newer with CONFIG_DEBUG_INFO_BTF"
check "no BTF: nothing else" ! -s /tmp/out
umount /sys/kernel/btf

# ---- lockdown --------------------------------------------------------------------

# Programs that read memory by address are refused; what has none of that goes on, and the rest is
# named as unseen. The verdict's port must be open before.
mount -t securityfs securityfs /sys/kernel/security
mkfifo /tmp/verdict
vm-exit - </tmp/verdict >/tmp/port &
exec 3>/tmp/verdict
until grep -qs open /tmp/port; do usleep 50000; done

# Traces two ends under the level that is set; the tracer's status.
locked_down() {
	start conns -o json --mode full
	scenario normal --port 24103 >/tmp/truth
	usleep 500000
	kill -INT $pid 2>/dev/null
	wait $pid
}

# What is unseen is said in one line with its reason and its remedy; where not even the changes of
# state can be told (5.10) that line is all.
why='tcptrail: the kernel is locked down'
if echo integrity >/sys/kernel/security/lockdown; then
	locked_down
	check "lockdown, integrity: the tracer ends with 0" $? -eq 0
	check "lockdown, integrity: takes nothing away" "$(grep -c "$why" /tmp/err)" -eq 0
	check "lockdown, integrity: both ends are told" "$(grep -c '"tcp.connection"' /tmp/out)" -eq \
		"$(grep -c '"role":' /tmp/truth)"
	check "lockdown, integrity: its last line, nothing lost" \
		"$(tail -n 1 /tmp/err | grep -c "$summary; nothing lost$whole")" -eq 1
	echo confidentiality >/sys/kernel/security/lockdown
	locked_down
	status=$?
	if [ $status -eq 2 ]; then
		check "lockdown: one line, with the remedy" "$(cat /tmp/err)" = \
			"$why (confidentiality): BPF may not read its memory (boot with lockdown=integrity)"
		check "lockdown: nothing else" ! -s /tmp/out
	else
		check "lockdown: the tracer ends with 0" $status -eq 0
		check "lockdown: says in one line what is unseen, why and the remedy" "$(grep -c \
			"^$why (boot with lockdown=integrity), and unseen: .*RSTs sent" /tmp/err)" -eq 1
		check "lockdown: both ends are told" "$(grep -c '"tcp.connection"' /tmp/out)" -eq \
			"$(grep -c '"role":' /tmp/truth)"
		check "lockdown: its last line, nothing lost" \
			"$(tail -n 1 /tmp/err | grep -c "$summary; nothing lost$whole")" -eq 1
		check "lockdown: the ledger says nothing lost" \
			"$(grep -c '"lost":{.*"total":0}' /tmp/out)" -eq 1
		check "lockdown: how they ended is right" "$(grep -c '"conn_state":"SF"' /tmp/out)" -eq 2
	fi
	tcptrail stuck >/tmp/out 2>/tmp/err
	check "lockdown: stuck has nothing to look with: exit 2" $? -eq 2
	check "lockdown: stuck: one line, with the remedy" "$(cat /tmp/err)" = \
		"$why (confidentiality): BPF may not read its memory (boot with lockdown=integrity)"
else
	echo "skip - lockdown: this kernel has none"
fi
echo $failed >&3
sleep 60 # the machine goes off
