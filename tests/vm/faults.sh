#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
#
# Faults that need a machine of their own: tests/vm/run.sh --script tests/vm/faults.sh.
# The clock is stepped an hour forward and two back under a running tracer: times move, no
# duration does. The kernel is locked down, at integrity and at confidentiality.
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

# ---- the clock -----------------------------------------------------------------

tcptrail conns -o json >/tmp/conns 2>/tmp/err &
pid=$!
for _ in $(seq 600); do
	grep -q 'tcptrail: tracing' /tmp/err && break
	usleep 100000
done
now=$(date +%s)
scenario close_wait_leak --port 24100 --hold 3000 >/tmp/truth &
usleep 1000000
date -s "@$((now + 3600))" >/dev/null
usleep 300000 # the tracer looks at the clock when it wakes: up to then it has the old one
wait $!
scenario normal --port 24101 >>/tmp/truth
date -s "@$((now - 3600))" >/dev/null
usleep 300000
scenario normal --port 24102 >>/tmp/truth
usleep 500000
kill -INT $pid
wait $pid
check "clock stepped: the tracer ends with 0" $? -eq 0
check "clock stepped: nothing lost" "$(grep -c 'nothing lost' /tmp/err)" -eq 1
check "clock stepped: every end is told" "$(grep -c '"tcp.connection"' /tmp/conns)" -eq 6
# ns: none is negative, none has an hour in it
check "clock stepped: no duration moved" "$(grep -o '"[a-z_]*duration[a-z_]*":-*[0-9]*' /tmp/conns |
	awk -F: '$2 < 0 || $2 > 60000000000' | wc -l)" -eq 0
check "clock stepped: no offset moved" "$(grep -o '"offset_ns":-*[0-9]*' /tmp/conns |
	awk -F: '$2 < 0 || $2 > 60000000000' | wc -l)" -eq 0
# the hour is in the times: three of them, an hour and two hours apart
check "clock stepped: the times follow it" "$(grep -o '"end":"[^"]*' /tmp/conns | cut -c 8-20 |
	sort -u | wc -l)" -ge 2

# ---- lockdown --------------------------------------------------------------------

# Programs that read memory by address are refused; what has none of that goes on, and the rest is
# named as unseen. The verdict's port must be open before.
mount -t securityfs securityfs /sys/kernel/security
mkfifo /tmp/verdict
vm-exit - </tmp/verdict &
exec 3>/tmp/verdict
usleep 500000

# locked_down LEVEL: traces in that mode
locked_down() {
	tcptrail conns -o json --mode full >/tmp/out 2>/tmp/err &
	pid=$!
	for _ in $(seq 600); do
		grep -q 'tcptrail: tracing' /tmp/err && break
		kill -0 $pid 2>/dev/null || break
		usleep 100000
	done
	scenario normal --port 24103 >>/tmp/truth
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
	check "lockdown, integrity: both ends are told" "$(grep -c '"tcp.connection"' /tmp/out)" -eq 2
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
		check "lockdown: both ends are told" "$(grep -c '"tcp.connection"' /tmp/out)" -eq 2
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
