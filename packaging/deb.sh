#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian package from a copy of this tree, so that neither what lies about here
# nor what Debian's tools leave behind matters, and asks lintian, to whom nothing is
# forgiven. packaging/debian becomes debian/ in the copy.
#   packaging/deb.sh VERSION OUT-DIRECTORY
# DEB_BUILD_OPTIONS as for any package (nocheck, noautodbgsym, parallel=N).
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
tree=$out/tcptrail-$version
# The build is Debian's, not that of the make that called.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL INSTALLED BUILD DESTDIR PREFIX V

. packaging/tree.sh
packaged=$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)
if [ "$packaged" != "$version" ]; then
	echo "deb: packaging/debian/changelog is at $packaged, the Makefile at $version" >&2
	exit 1
fi

rm -rf "$tree" "$out"/tcptrail*.{deb,dsc,changes,buildinfo,tar.xz}
copy_tree "$tree"
mv "$tree/packaging/debian" "$tree/debian"
export DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS:-parallel=$(nproc)}
(cd "$tree" && dpkg-buildpackage -us -uc) >"$out/build.log" 2>&1 || {
	tail -n 40 "$out/build.log" >&2
	echo "deb: see $out/build.log" >&2
	exit 1
}
rm -rf "$tree"
lintian --allow-root --fail-on error,warning --display-level ">=warning" "$out"/tcptrail_*.changes
ls "$out"/*.deb
