#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds each tests/fuzz/fuzz_*.c with libFuzzer, ASan and UBSan and runs it for a while,
# one after another, on seeds from tests/golden. One "ok" or "not ok" line each, then
# "N passed, N failed, N skipped"; what breaks one is left in BUILD/fuzz/found-*.
#   tests/fuzz/run.sh [BUILD-DIRECTORY] [SECONDS-EACH] [TARGET...]
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:-build}/fuzz
seconds=${2:-12}
shift $(($# < 2 ? $# : 2))
passed=0 failed=0
clang=${CLANG:-clang}
flags=(-std=gnu11 -O1 -g -D_GNU_SOURCE '-DTCPTRAIL_VERSION="fuzz"' -Wall -Wextra
	-Wno-unused-parameter -Iinclude -Iuser -Iuser/core -fno-sanitize-recover=undefined)
sanitize=-fsanitize=fuzzer-no-link,address,undefined

if ! echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n < 0; }' |
	$clang -fsanitize=fuzzer,address -x c -o /dev/null - 2>/dev/null; then
	echo "ok - fuzz targets # SKIP $clang has no libFuzzer"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi

# compile FILE: into BUILD/fuzz/FILE.o, if it is newer, or a header is
compile() {
	local out=$build/${1%.c}.o newer
	mkdir -p "${out%/*}"
	newer=$([ -e "$out" ] && find "$1" include user -name '*.h' -newer "$out" -print -quit)
	[ -e "$out" ] && [ ! "$1" -nt "$out" ] && [ -z "$newer" ] && return
	$clang "${flags[@]}" $sanitize -c -o "$out" "$1"
}

# link NAME EXTRA-FLAG...: what its "links:" and "libs:" lines name, and the whole core
link() {
	local name=$1 source=tests/fuzz/$1.c f objects=()
	shift
	for f in user/core/*/*.c $(sed -n 's/^ \* links: //p' "$source") "$source"; do
		[ -e "$f" ] || continue
		compile "$f" || return 1
		objects+=("$build/${f%.c}.o")
	done
	# shellcheck disable=SC2046
	$clang "$@" -o "$build/$name.bin" "${objects[@]}" $(sed -n 's/^ \* libs: //p' "$source") -lmd -lm
}

seeds() {
	rm -rf "$build/seeds"
	mkdir -p "$build"/seeds/{replay,recording,filter,text,json}
	link seeds -fsanitize=address,undefined || return 1
	shopt -s nullglob
	"$build/seeds.bin" "$build/seeds" tests/golden/*.events tests/golden/*.ttr || return 1
	local n=0 line
	while read -r line; do
		n=$((n + 1))
		tr ' ' '\n' <<<"$line" >"$build/seeds/filter/$n"
	done <tests/fuzz/filters.txt
	cat tests/golden/*.events | awk '!seen[$2]++' | split -l 1 - "$build/seeds/text/line-"
	head -c 200 /bin/sh >"$build/seeds/json/0"
	mkdir -p "$build/seeds/pcap"
	cp tests/captures/*.pcap "$build/seeds/pcap/"
	mkdir -p "$build/seeds/symbols"
	echo 'int f(int a) { return a + 1; } int g(int a) { return f(a) * 2; }' |
		$clang -O1 -nostdlib -shared -fPIC -x c -o "$build/seeds/symbols/shared" -
}

seeds || { echo "not ok - seeds"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
[ $# -gt 0 ] || set -- tests/fuzz/fuzz_*.c
for target; do
	name=$(basename "$target" .c)
	corpus=$build/corpus/$name
	mkdir -p "$corpus" "$build/seeds/${name#fuzz_}"
	if ! link "$name" -fsanitize=fuzzer,address,undefined; then
		echo "not ok - $name does not build"
		failed=$((failed + 1))
		continue
	fi
	if "$build/$name.bin" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3072 -max_len=65536 \
		-print_final_stats=1 -artifact_prefix="$build/found-$name-" "$corpus" \
		"$build/seeds/${name#fuzz_}" >"$build/$name.log" 2>&1; then
		echo "ok - $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log") runs"
		passed=$((passed + 1))
	else
		echo "not ok - $name"
		grep -E 'ERROR|SUMMARY|runtime error|Test unit written' "$build/$name.log" | sed 's/^/  /'
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
