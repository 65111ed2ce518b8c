#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A scratch root for the package: this host's own files under an overlay whose upper layer is
# memory, in mount and network namespaces of its own. Nothing of the host changes, no network
# is needed (what the package depends on is installed, or the program could not have been
# built), and what the package leaves behind is what the upper layer holds at the end.
#   root.sh plain|systemd DEB     inside.py's lines, then "left PATH" for each file left behind
# Exit 3 and a line that says why when such a root cannot be had here.
set -u
mode=$1
deb=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
# Debian's own: another one may lie where the scratch root has nothing
python=/usr/bin/python3
[ -x $python ] || { echo "$python is not there"; exit 3; }

if [ "${3:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || { echo "needs root"; exit 3; }
	work=$(mktemp -d) || exit 1
	trap 'rmdir "$work" 2>/dev/null' EXIT
	unshare --mount --net --pid --fork --kill-child --mount-proc -- "$0" "$mode" "$deb" inside "$work"
	exit
fi

work=$4
cannot() { echo "$1"; exit 3; }
mount --make-rprivate / || cannot "mount namespaces are refused"
mount -t tmpfs -o mode=0755 tmpfs "$work" || cannot "tmpfs is refused"
cd "$work" || exit 1
mkdir upper scratch root package
mount -t overlay -o "lowerdir=/,upperdir=upper,workdir=scratch" overlay root 2>/dev/null ||
	cannot "overlayfs over / is refused"
ip link set lo up
cp "$deb" package/tcptrail.deb
cp "$here/inside.py" "$here/../../docs/serve.md" package/

# What would stand in the package's way: a policy against services (as in containers), a link
# of this host's own tcptrail.
rm -f root/usr/sbin/policy-rc.d
rm -rf root/etc/systemd/system/multi-user.target.wants/tcptrail.service
mkdir -p root/mnt
mount --bind package root/mnt || cannot "bind mounts are refused"

plain() {
	mount -t proc proc root/proc
	mount --rbind /sys root/sys
	mount --rbind /dev root/dev
	mount -t tmpfs tmpfs root/run # no systemd is seen through it
	mount -t tmpfs tmpfs root/tmp
	timeout -k 5 900 chroot root "$python" /mnt/inside.py plain /mnt/tcptrail.deb
}

# systemd as pid 1 of a container; the test is a service, and its end the end of all.
booted() {
	command -v systemd-nspawn >/dev/null || cannot "systemd-nspawn is not installed"
	[ -x /lib/systemd/systemd ] || cannot "systemd is not installed"
	cat >root/etc/systemd/system/package-test.service <<-UNIT
		[Unit]
		SuccessAction=exit-force
		FailureAction=exit-force
		[Service]
		Type=oneshot
		TimeoutStartSec=840
		StandardOutput=file:/mnt/said
		StandardError=file:/mnt/said
		ExecStart=$python /mnt/inside.py systemd /mnt/tcptrail.deb
	UNIT
	rm -f root/etc/machine-id
	SYSTEMD_NSPAWN_LOCK=0 timeout -k 5 900 systemd-nspawn --quiet -D "$work/root" --register=no \
		--keep-unit --private-network --bind="$work/package:/mnt" --console=pipe \
		--capability=CAP_BPF,CAP_PERFMON --system-call-filter='bpf perf_event_open' \
		--boot systemd.unit=package-test.service </dev/null >package/console 2>&1
	[ -s package/said ] || cannot "systemd-nspawn: $(tail -n 1 package/console | tr -d '\r')"
	cat package/said
}

# Files of the upper layer, and directories that the host has not: what dpkg and its
# helpers themselves keep does not count, nor a deletion (a character device 0,0).
left() {
	local owned='^\./(var/(lib/dpkg|log|cache)/|mnt|run|tmp|root/)'

	owned+='|^\./var/lib/systemd/deb-systemd-helper-enabled$'
	cd upper && find . \( -type f -o -type l -o -type d -empty \) | grep -vE "$owned" |
		while read -r path; do
			[ -d "$path" ] && [ ! -L "$path" ] && [ -d "/$path" ] && continue
			[ "$mode" = plain ] || [[ $path == *tcptrail* ]] || continue
			echo "left ${path#.}"
		done
}

case $mode in
plain) plain ;;
systemd) booted ;;
esac
left
