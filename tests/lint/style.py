#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house style that a formatter does not hold.

    style.py spdx|length|space|opening|functions

One check at a time over every tracked (or new, not ignored) source file. Silent and 0
when all is well; else a line for each breach, and 1.
"""
import os
import re
import subprocess
import sys

FILE_MAX = 500      # past that a file is two rooms
FUNCTION_MAX = 60   # a screen
OPENING = (2, 15)   # lines of text that open a .c: what it is for, holds, must not do

SPDX_USER = "SPDX-License-Identifier: Apache-2.0"
SPDX_BPF = "SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only"


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [f for f in out if os.path.isfile(f)]


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        return f.read().split("\n")


def is_source(path):
    """What people write and read, in any language with comments. Data and prose are not."""
    if path.endswith((".c", ".h", ".py", ".sh", ".awk", ".bash", ".zsh", ".js", ".css", ".html",
                      ".service", ".default", ".yml", ".yaml")) or \
            os.path.basename(path) in ("Makefile", "Dockerfile"):
        return True
    with open(path, "rb") as f:
        return f.read(2) == b"#!"


def spdx(path, lines):
    first = lines[1] if lines[0].startswith(("#!", "<!doctype")) and len(lines) > 1 else lines[0]
    # the contract is compiled into both sides, so it carries both licences
    want = SPDX_BPF if path.startswith(("bpf/", "include/")) or path.endswith(".bpf.c") \
        else SPDX_USER
    if want not in first or (want == SPDX_USER and SPDX_BPF in first):
        yield f"{path}:1: first line is not '{want}'"


def length(path, lines):
    if len(lines) - 1 > FILE_MAX:
        yield f"{path}: {len(lines) - 1} lines, at most {FILE_MAX}"


def space(path, lines):
    for n, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield f"{path}:{n}: trailing white space"
    if lines[-1] != "" or (len(lines) > 1 and lines[-2] == ""):
        yield f"{path}:{len(lines)}: does not end in exactly one newline"


def opening(path, lines):
    if not path.endswith(".c"):
        return
    text = "\n".join(lines[1:])
    m = re.match(r"\s*/\*(.*?)\*/|\s*((?://[^\n]*\n)+)", text, re.S)
    said = [s for s in (m[0].split("\n") if m else []) if re.search(r"\w", s)]
    if not OPENING[0] <= len(said) <= OPENING[1]:
        yield f"{path}: opens with {len(said)} lines of text, {OPENING[0]} to {OPENING[1]}"


def functions(path, lines):
    """Kernel style: a function's braces are alone at the left margin."""
    if not path.endswith((".c", ".h")):
        return
    start = None
    for n, line in enumerate(lines, 1):
        if line == "{":
            start = n
        elif line == "}" and start:
            if n - start - 1 > FUNCTION_MAX:
                name = re.search(r"(\w+)\(", " ".join(lines[max(0, start - 4):start - 1]))
                yield f"{path}:{start}: {name[1] if name else '?'}() has {n - start - 1} lines, " \
                      f"at most {FUNCTION_MAX}"
            start = None


CHECKS = {f.__name__: f for f in (spdx, length, space, opening, functions)}


def main(argv):
    if len(argv) != 2 or argv[1] not in CHECKS:
        print(__doc__, file=sys.stderr)
        return 2
    sources = [f for f in tracked() if is_source(f)]
    breaches = [b for f in sources for b in CHECKS[argv[1]](f, read(f))]
    if not sources:
        breaches.append("no source files found")
    print("\n".join(breaches), end="\n" if breaches else "")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
