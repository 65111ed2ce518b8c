#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gcc -fanalyzer over every source of user space.

    analyzer.py GCC_OPTION... -- FILE...

Each thing that it says is a failure, but for those below: where it loses sight of who owns what,
looked at one by one. One of these that it no longer says is a failure too, so that none outlives
its reason. gcc 12's analyzer follows no memory kept in an array behind a pointer.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

# (file, function, what it says): why it is wrong.
FALSE = {
    ("user/core/process/proc.c", "cgroup_set", "malloc-leak"):
        "the path is kept in t->cgroups[i], freed with the table",
    ("user/core/table/slots.h", "text_add", "malloc-leak"):
        "the text is kept in its row of s->texts, freed with the stacks",
    ("user/core/process/stack.c", "stack_frame", "null-dereference"):
        "word() gives NULL only with a length of 0",
    ("user/source/btf.c", "names_put", "malloc-leak"):
        "kept in out->names[value], freed by btf_names_free()",
    ("user/source/cgroup.c", "learn", "malloc-leak"):
        "kept in c->known[], freed by forget()",
    ("user/source/facts.c", "fact_rows_set", "double-free"):
        "f->rows is set to what reallocarray() gave, before it can be called again",
    ("user/source/facts.c", "fact_rows_set", "use-after-free"):
        "the same: f->len rows are read of what f->rows is now",
    ("user/source/from.c", "open_one", "file-leak"):
        "*out has it, also when this fails: source_from_open() closes files[]",
    ("user/source/from.c", "open_one", "malloc-leak"):
        "the same FILE",
    ("user/source/pcap.c", "reel_widen", "malloc-leak"):
        "r->file and r->room have them, and are closed and freed with the reel",
    ("user/source/replay.c", "source_replay_open", "malloc-leak"):
        "*out is the first member's address of it: replay's close() frees it",
    ("user/top/order.c", "collect", "double-free"):
        "p->keys is set to what reallocarray() gave, before it can be called again",
    ("user/recorder_ring.c", "recorder_ring_put", "malloc-leak"):
        "kept in r->frames[], freed by drop_oldest()",
}


def analyze(options, path):
    """(file, function, what it says, the line) of each warning."""
    done = subprocess.run([*options, "-fanalyzer", "-c", "-o", "/dev/null", path],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "LC_ALL": "C"})
    said, function = [], "?"
    for line in done.stderr.splitlines():
        inside = re.match(r"(?:\S+: In function| +inlined from) '(\w+)'", line)
        if inside:
            function = inside.group(1)
        warned = re.match(r"(\S+?):\d+:\d+: warning: .*\[-Wanalyzer-([a-z-]+)\]", line)
        if warned:
            said.append((warned.group(1), function, warned.group(2), line))
    if done.returncode:
        said.append((path, function, "failed", done.stderr))
    return said


def main():
    cut = sys.argv.index("--")
    options, files = sys.argv[1:cut], sys.argv[cut + 1:]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = [s for found in pool.map(lambda f: analyze(options, f), files) for s in found]
    new = [s for s in said if s[:3] not in FALSE]
    for s in new:
        print(f"{s[3]} (in {s[1]})")
    old = sorted(set(FALSE) - {s[:3] for s in said})
    for what in old:
        print("no longer said, take it off the list:", *what)
    return 1 if new or old else 0


if __name__ == "__main__":
    sys.exit(main())
