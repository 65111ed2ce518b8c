# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# copy_tree DIRECTORY: the sources, as they are now, to a new directory: what git knows or
# would take; without git, all but what was built.
copy_tree() {
	local to=$1

	mkdir -p "$to"
	if git rev-parse -q --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -z | while IFS= read -r -d '' f; do
			[ ! -e "$f" ] || printf '%s\0' "$f"
		done | tar -c --null -T - | tar -x -C "$to"
	else
		tar -c --exclude=./.git --exclude='./build*' . | tar -x -C "$to"
	fi
}
