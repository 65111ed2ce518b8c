#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the image that a test VM boots: initramfs.sh OUT KERNEL_DIR JOB_DIR [PROGRAM ...]
#
# KERNEL_DIR is one of kernels.py, JOB_DIR becomes /job (plan, tracers), each PROGRAM goes to
# /bin under its own name. Programs may be static or dynamic: the libraries that ldd names come
# along, at the same place. Needs no root: the kernel's own image has /dev/console.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
out=$1 kernel=$2 job=$3
shift 3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,sbin,modules,job,etc,lib,usr}

# add FILE [NAME]: a program to /bin, its libraries to where the loader looks for them.
add() {
	local library
	install -m 755 "$1" "$root/bin/${2:-$(basename "$1")}"
	{ ldd "$1" 2>/dev/null || true; } | sed -n 's|[^/]*\(/[^ ]*\) (.*|\1|p' | while read -r library; do
		[ -e "$root$library" ] || install -D "$library" "$root$library"
	done
}

busybox=$(command -v busybox)
install -m 755 "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list | grep -vx busybox); do
	ln -sf busybox "$root/bin/$applet"
done
PATH=$PATH:/usr/sbin:/sbin
# Busybox's shell runs its own `ip` whatever stands in PATH: the host's plain shell does not.
rm "$root/bin/sh"
add "$(readlink -f /bin/sh)" sh
for tool in ip tc nft ss nstat bpftool; do
	if path=$(command -v "$tool"); then
		rm -f "$root/bin/$tool"
		add "$path"
	fi
done
for program; do
	rm -f "$root/bin/$(basename "$program")"
	add "$program"
done
${CC:-gcc} -O2 -Wall -Wextra -static -o "$root/bin/vm-exit" "$here/exit.c"

install -m 755 "$here/init" "$root/init"
cp "$kernel"/modules/*.ko "$root/modules/"
cp "$kernel/modules.order" "$root/modules/order"
cp -r "$job/." "$root/job/"
printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"

(cd "$root" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc 2>/dev/null) >"$out"
