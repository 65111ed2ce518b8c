#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every static check, one "ok" or "not ok" line each, then "N passed, N failed, N skipped".
# Needs `make` to have built (the purity of the core is read from its archive). A check
# whose tool is not installed is skipped by name.
#   tests/lint/run.sh [BUILD-DIRECTORY]
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:-build}
lint=tests/lint
passed=0 failed=0 skipped=0
jobs=$(nproc)

# check NAME TOOL COMMAND...: what the command says is shown only if it fails
check() {
	local name=$1 tool=$2 said
	shift 2
	if ! command -v "$tool" >/dev/null; then
		echo "ok - $name # SKIP $tool is not installed"
		skipped=$((skipped + 1))
	elif said=$("$@" 2>&1); then
		echo "ok - $name"
		passed=$((passed + 1))
	else
		echo "not ok - $name"
		head -n 60 <<<"$said" | sed 's/^/  /'
		failed=$((failed + 1))
	fi
}

files() {
	git ls-files -co --exclude-standard -- "$@" | while read -r f; do
		[ -f "$f" ] && echo "$f"
	done
}

shell_files() {
	files '*.sh' .ci/run
	files | while read -r f; do
		case $f in *.sh | .ci/run) continue ;; esac
		head -c 32 "$f" | head -n 1 | tr -d '\0' | grep -qE '^#!.*\b(ba)?sh\b' && echo "$f"
	done
}

includes=(-Iinclude -Iuser -Iuser/core "-I$build")
defines=(-std=gnu11 -D_GNU_SOURCE '-DTCPTRAIL_VERSION="lint"')

format() {
	files 'include/*.h' 'bpf/*.c' 'bpf/*.h' 'user/*.c' 'user/*.h' 'tests/*.c' 'tests/*.h' |
		xargs python3 $lint/format.py --diff
}

tidy() {
	files 'user/*.c' | xargs -P "$jobs" -I{} \
		clang-tidy --quiet --config-file=$lint/clang-tidy.yaml {} -- \
		"${defines[@]}" "${includes[@]}" 2>&1 | grep -vE '^[0-9]+ warnings? generated|^$'
	return "$((PIPESTATUS[0] || PIPESTATUS[1]))"
}

# Off, for they are wrong here each time: uninitvar and zerodivcond (an array filled by a
# loop, an address taken before it is filled; gcc and clang-tidy look at both too),
# nullPointerRedundantCheck (NULL-safe _free).
check_cppcheck() {
	files 'user/*.c' | xargs cppcheck --quiet --error-exitcode=1 -j "$jobs" --std=c11 \
		--enable=warning,portability,performance --inline-suppr \
		--suppress=missingInclude --suppress=missingIncludeSystem \
		--suppress=nullPointerRedundantCheck --suppress=uninitvar --suppress=zerodivcond \
		--suppress='*:*.skel.h' '-DLIBBPF_OPTS(TYPE,NAME,...)=struct TYPE NAME' \
		-D_GNU_SOURCE -DTCPTRAIL_VERSION='"lint"' -D__GNUC__ "${includes[@]}"
}

analyzer() {
	files 'user/*.c' | xargs python3 $lint/analyzer.py gcc "${defines[@]}" -O2 "${includes[@]}" --
}

# SC2317: what a trap calls is taken for unreachable.
check_shell() {
	shell_files | xargs shellcheck -x -e SC2317
}

check_python() {
	files '*.py' | xargs python3 -c '
import ast, sys
for f in sys.argv[1:]:
    ast.parse(open(f, encoding="utf-8").read(), f)'
}

check_manual() {
	local said
	said=$(files 'man/*.8' | xargs mandoc -Tlint -W style 2>&1 | grep -vE 'mandoc.db lacks|referenced manual not found')
	printf '%s\n' "$said"
	[ -z "$said" ]
}

check "SPDX line opens every file" python3 python3 $lint/style.py spdx
check "no file over 500 lines" python3 python3 $lint/style.py length
check "no trailing white space" python3 python3 $lint/style.py space
check "every .c says what it is for" python3 python3 $lint/style.py opening
check "no function over a screen" python3 python3 $lint/style.py functions
check "includes follow the flow" python3 python3 $lint/flow.py includes
check "the core is pure" nm python3 $lint/flow.py pure "$build/core.a"
mapfile -t objects < <(find "$build/user" -name '*.o' 2>/dev/null)
check "no mutable globals" nm python3 $lint/flow.py globals "${objects[@]}"
check "Python parses" python3 check_python
check "clang-format" clang-format format
check "clang-tidy" clang-tidy tidy
check "cppcheck" cppcheck check_cppcheck
check "gcc -fanalyzer" gcc analyzer
check "shellcheck" shellcheck check_shell
if [ -n "$(files 'man/*.8')" ]; then
	check "mandoc -Tlint" mandoc check_manual
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
