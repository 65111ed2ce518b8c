#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make install` and `make uninstall` do with the Makefile's list, which comes in
# $INSTALLED: "MODE SOURCE PLACE" a line. A configuration file (mode conf) that somebody
# changed is neither overwritten nor removed.
#   packaging/install.sh install|uninstall DESTDIR
set -eu
verb=$1
destdir=$2

# changed SOURCE PLACE: somebody edited it
changed() {
	[ -e "$2" ] && ! cmp -s "$1" "$2"
}

printf '%s\n' "$INSTALLED" | while read -r mode from place; do
	[ -n "$mode" ] || continue
	to=$destdir$place
	if [ "$mode" = conf ]; then
		mode=0644
		if changed "$from" "$to"; then
			echo "$to: changed, kept"
			continue
		fi
	fi
	case $verb in
	install) install -D -m "$mode" "$from" "$to" ;;
	uninstall)
		rm -f "$to"
		# directories of our own, once they are empty
		dir=$(dirname "$to")
		while case $dir in */tcptrail | */tcptrail/*) [ -d "$dir" ] ;; *) false ;; esac; do
			rmdir "$dir" 2>/dev/null || break
			dir=$(dirname "$dir")
		done
		;;
	*)
		echo "usage: INSTALLED=LIST install.sh install|uninstall DESTDIR" >&2
		exit 2
		;;
	esac
done
