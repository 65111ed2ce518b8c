#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Carries out packaging/Dockerfile without Docker: each stage in a chroot over a Debian that
# mmdebstrap made from the mirror that this host's apt uses, then runs the result with the
# capabilities that the Dockerfile asks for, and scrapes it. Needs root, mmdebstrap and the
# mirror, so it is not part of `make test`.
#   tests/packages/image.sh
# "ok"/"not ok" lines, then "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 2
skip() { echo "skip - the image: $1"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }

if [ "${1:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || skip "needs root"
	command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"
	work=$(mktemp -d) || exit 2
	trap 'rm -rf --one-file-system "$work"' EXIT
	unshare --mount --pid --fork --kill-child --mount-proc -- "$0" inside "$work"
	exit
fi

work=$2
passed=0 failed=0
check() { # NAME STATUS
	if [ "$2" = 0 ]; then
		echo "ok - $1"
		passed=$((passed + 1))
	else
		echo "not ok - $1"
		tail -n 15 "$work/log" | sed 's/^/    /'
		failed=$((failed + 1))
	fi
	[ "$2" = 0 ]
}
finish() {
	echo "$passed passed, $failed failed, 0 skipped"
	exit $((failed > 0))
}

mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$work" || skip "tmpfs is refused"
# Where this host's apt gets Debian 12 from
# shellcheck disable=SC2016 # apt's own variables
apt-get indextargets --format '$(ORIGIN) deb $(SITE) $(RELEASE) main' \
	'Created-By: Packages' 'Component: main' | sed -n 's/^Debian //p' | sort -u >"$work/sources"
mmdebstrap --quiet --variant=apt bookworm "$work/base" - <"$work/sources" >"$work/log" 2>&1
check "a Debian 12" $? || finish

stage= # the root of the present stage
cwd=/
entrypoint='' command=''

open_stage() { # NAME
	stage=$work/stage-$1
	mkdir -p "$stage" "$work/upper-$1" "$work/scratch-$1"
	mount -t overlay -o "lowerdir=$work/base,upperdir=$work/upper-$1,workdir=$work/scratch-$1" \
		overlay "$stage" || return
	mount -t proc proc "$stage/proc" && mount --rbind /sys "$stage/sys" && mount --rbind /dev "$stage/dev"
	cp /etc/resolv.conf "$stage/etc/resolv.conf"
	cwd=/
}

# The words of ["a", "b"]
words() { python3 -c 'import json, sys; print(*json.loads(sys.argv[1]), sep="\n")' "$1"; }

copy() {
	local from=. to

	case $1 in
	--from=*)
		from=$work/stage-${1#--from=}
		shift
		;;
	esac
	to=${*: -1}
	[[ $to == /* ]] || to=$cwd/$to
	set -- "${@:1:$#-1}"
	if [ "$from" != . ]; then
		# shellcheck disable=SC2086 # a pattern of the Dockerfile
		cp $from$1 "$stage$to"
	elif [ "$1" = . ]; then
		. packaging/tree.sh
		copy_tree "$stage$to"
	else
		mkdir -p "$(dirname "$stage$to")" && cp -r "$1" "$stage$to"
	fi
}

instruction() { # NAME REST
	local word

	case $1 in
	FROM)
		word=${2##* AS }
		[ "$word" = "$2" ] && word=last
		open_stage "$word"
		;;
	WORKDIR) cwd=$2 && mkdir -p "$stage$cwd" ;;
	COPY) read -ra word <<<"$2" && copy "${word[@]}" ;;
	RUN) env -i PATH="$PATH" DEBIAN_FRONTEND=noninteractive chroot "$stage" \
		sh -c "cd $cwd && $2" >"$work/log" 2>&1 ;;
	ENTRYPOINT) mapfile -t entrypoint < <(words "$2") ;;
	CMD) mapfile -t command < <(words "$2") ;;
	*) false ;;
	esac
}

while read -r name rest; do
	[[ -z $name || $name == \#* ]] && continue
	instruction "$name" "$rest" </dev/null
	check "$name ${rest:0:60}" $? || finish
done <packaging/Dockerfile

# As docker run --cap-drop ALL --cap-add BPF --cap-add PERFMON --security-opt no-new-privileges
chroot "$stage" "${entrypoint[@]}" --version >"$work/log" 2>&1
check "its program runs" $?
# shellcheck disable=SC2016 # expanded by the shell inside
unshare --net sh -c 'ip link set lo up; root=$1; shift
	setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+bpf,+perfmon,+sys_chroot \
		chroot "$root" "$@" & pid=$!
	for _ in $(seq 100); do
		python3 -c "import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:29293/metrics\").read().decode())" \
			2>/dev/null | grep "^tcptrail_" && break
		sleep 0.1
	done >"$0"
	kill "$pid"; wait "$pid"' "$work/metrics" "$stage" "${entrypoint[@]}" "${command[@]}" >"$work/log" 2>&1
check "without arguments it serves with two capabilities, and ends with 0" $?
[ "$(wc -l <"$work/metrics")" -gt 20 ]
check "/metrics" $?
finish
