#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of what building (--build), testing (--test: more) or packaging
# (--package) needs, on Debian and its kin. Nothing missing: nothing happens, no network is
# touched. Changes nothing but packages.
#   tests/deps.sh [--build] [--test] [--package] [--list]
set -eu

build="gcc make clang llvm libc6-dev libbpf-dev libelf-dev libpcap-dev zlib1g-dev libzstd-dev libcap-ng-dev libseccomp-dev
libmd-dev libmicrohttpd-dev libncurses-dev pkg-config bpftool"
test="git libcmocka-dev python3 python3-jsonschema jq iproute2 nftables tcpdump tshark valgrind
shellcheck clang-format clang-tidy cppcheck qemu-system-x86 busybox-static cpio kmod xz-utils
zstd libbpf-tools mandoc procps systemd openssl chromium python3-yaml python3-protobuf python3-kubernetes clickhouse-common tmux"
# Installed, these would start a service of their own: they are only unpacked, for the tests.
unpacked="clickhouse-server prometheus"
unpacked_to=$(dirname "$0")/../build/unpacked

package="build-essential debhelper fakeroot libcmocka-dev lintian python3"
# tests/packages alone
package_test="zsh systemd-container"

wanted=$build
list=
testing=
for arg in "$@"; do
	case $arg in
	--build) ;;
	--test) wanted="$wanted $test $package $package_test" testing=1 ;;
	--package) wanted="$wanted $package" ;;
	--list) list=1 ;;
	*)
		echo "deps: unknown option '$arg' (--build, --test, --package, --list)" >&2
		exit 2
		;;
	esac
done

# clang's sanitizer and fuzzer run-time is a package of its own, named by its version
runtime() {
	local major
	major=$(clang -dumpversion 2>/dev/null || apt-cache depends clang 2>/dev/null |
		sed -n 's/.*Depends: clang-\([0-9]*\).*/\1/p' | head -n 1)
	echo "libclang-rt-${major%%.*}-dev"
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps: not a Debian-like system; install by hand what these Debian packages hold:" >&2
	echo "$wanted" >&2
	exit 0
fi

installed() {
	dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing() {
	local package
	for package in $wanted; do
		installed "$package" || echo "$package"
	done
	case " $wanted " in
	*" clang-tidy "*) package=$(runtime) && { installed "$package" || echo "$package"; } ;;
	esac
}

# Another apt or dpkg may be at work, as after a host's start, and a mirror may stumble.
patient=(-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)

# Each as apt has it, once; without them what needs them is skipped by name.
unpack() {
	local package
	[ -n "$testing" ] || return 0
	for package in $unpacked; do
		[ ! -e "$unpacked_to/.$package" ] || continue
		mkdir -p "$unpacked_to/.get"
		(cd "$unpacked_to/.get" && apt-get "${patient[@]}" download -qq "$package" >/dev/null 2>&1) &&
			dpkg -x "$unpacked_to/.get/$package"_*.deb "$unpacked_to" &&
			: >"$unpacked_to/.$package" || echo "deps: could not unpack $package" >&2
		rm -rf "$unpacked_to/.get"
	done
}

need=$(missing)
if [ -n "$list" ]; then
	[ -z "$need" ] || echo "$need"
	exit 0
fi
[ -n "$need" ] || { unpack; exit 0; }
need=${need//$'\n'/ }
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing: $need" >&2
	echo "deps: install as root: sudo apt-get install --no-install-recommends $need" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
echo "deps: installing $need"
install() {
	# shellcheck disable=SC2086
	apt-get "${patient[@]}" install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 $need >/dev/null
}
# What apt knows may be old or nothing: an update, another try. An update that fails half leaves what
# it had; what is missing after all is named below.
if ! install 2>/dev/null; then
	for pause in 10 30 0; do
		apt-get "${patient[@]}" update -qq && install && break
		sleep "$pause"
	done
fi
left=$(missing)
if [ -n "$left" ]; then
	echo "deps: still missing: $left" >&2
	exit 1
fi
unpack
