#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The static program with all that belongs to it, as one archive that unpacks into
# /usr/local. The same sources, compiler and libraries give the same bytes, wherever and
# whenever it is made: no time, path, user or order of files gets in.
#   packaging/tarball.sh VERSION OUT-DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
name=tcptrail-$version-linux-$(uname -m)
tree=$out/$name
obj=$out/obj
doc=share/doc/tcptrail
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL INSTALLED BUILD DESTDIR PREFIX V CFLAGS LDFLAGS
export LC_ALL=C TZ=UTC
umask 022
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(dpkg-parsechangelog -l packaging/debian/changelog -S Timestamp)}
export SOURCE_DATE_EPOCH

rm -rf "$tree" "$obj" "$out/stage" "$out"/*.tar.gz
# No -g: what is stripped afterwards need not be made.
make -s -j"$(nproc)" static STATIC_BUILD="$obj" STATIC_GOALS=all CFLAGS=-O2 >"$out/build.log" 2>&1 || {
	tail -n 40 "$out/build.log" >&2
	exit 1
}
make -s install BUILD="$obj" DESTDIR="$out/stage" PREFIX=/usr/local SYSCONFDIR=/usr/local/etc >>"$out/build.log"
mv "$out/stage/usr/local" "$tree"
rm -r "$out/stage"
strip --enable-deterministic-archives "$tree/sbin/tcptrail"
sed "s/@VERSION@/$version/g" packaging/tarball.txt >"$tree/README"
mv "$tree/$doc/LICENSE" "$tree/LICENSE"
python3 packaging/spdx.py --root "$tree" --program sbin/tcptrail --map "$obj/tcptrail.map" \
	--licences $doc/licences --out $doc/tcptrail.spdx.json

tar -c -C "$out" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner \
	--mode='u+rw,go=rX' --mtime="@$SOURCE_DATE_EPOCH" "$name" | gzip -9n >"$tree.tar.gz"
rm -rf "$tree"
ls "$tree.tar.gz"
