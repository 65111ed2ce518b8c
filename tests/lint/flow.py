#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The direction of the flow: a module includes only what stands before it.

    flow.py includes            every #include of ours against the table below
    flow.py pure ARCHIVE        the core's archive needs nothing but the symbols below
    flow.py globals OBJECT...   no object has mutable globals

Silent and 0 when all is well; else a line for each breach, and 1.
"""
import os
import re
import subprocess
import sys

# room: the rooms whose headers it may include. A header that lies directly in user/
# is the room "user/<name>".
MAY_INCLUDE = {
    "include": {"include"},
    "bpf": {"include", "bpf"},
    "core": {"include", "core"},
    "source": {"include", "core", "source", "generated"},
    "output": {"include", "core", "source", "output", "user/session.h", "user/options.h"},
    "serve": {"include", "core", "source", "output", "serve", "user/session.h", "user/options.h"},
    "top": {"include", "core", "source", "output", "top", "user/session.h", "user/options.h"},
    "user": {"include", "core", "source", "output", "serve", "top", "user"},
}

# The rooms of the core, in the order of the flow: each may include those before it.
CORE = ("table", "write", "wire", "process", "connection", "flow", "filter", "stream", "pipeline",
        "ladder", "stuck", "metrics")

# System headers that a room must not see, and why.
MUST_NOT_SEE = {
    "core": {
        r"bpf/": "the core is linked without libbpf",
        r"sys/(socket|stat|mman|epoll|signalfd|timerfd|ioctl)\.h": "the core does no system calls",
        r"(unistd|fcntl|signal|pthread|poll|dirent)\.h": "the core does no system calls",
    },
    "output": {r"bpf/": "outputs get events, not BPF"},
    "top": {r"bpf/": "views get events, not BPF"},
    "include": {r"(?!linux/types\.h)": "the contract needs linux/types.h alone"},
}

# All that the core may ask of a library. Adding a line here is a decision: nothing that
# reads a clock, a file, the environment or the network.
PURE = re.compile("^(" + "|".join((
    r"(__)?mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)(_chk)?",
    r"(__)?str(n?len|n?cmp|n?casecmp|r?chr|n?cpy|n?cat|str|spn|cspn|pbrk|chrnul|dup|ndup|sep|tok_r|pcpy)(_chk)?",
    r"rawmemchr", r"(__isoc99_|__isoc23_)?strto(u?ll?|d)", r"strerrordesc_np", r"strerrorname_np",
    r"(__)?v?snprintf(_chk)?",
    r"malloc", r"aligned_alloc", r"calloc", r"realloc", r"reallocarray", r"free",
    r"qsort", r"bsearch", r"__ctype_(b|tolower|toupper)_loc", r"to(lower|upper)",
    r"inet_(ntop|pton)", r"__errno_location", r"abort", r"__assert_fail",
    r"gmtime_r", r"timegm",
    r"localtime_r",                   # buf_clock(): tables show local time; reads TZ once, in libc
    r"SHA1(Init|Update|Final|Transform|Pad)",  # libmd, for the Community ID
    r"__stack_chk_fail", r"_GLOBAL_OFFSET_TABLE_", r"__(asan|ubsan|sanitizer)_\w+",
    r"lr?intf?|l?l?roundf?|sqrt|log10|pow|floor|ceil",
)) + ")$")


def tracked(*suffixes):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [f for f in out if f.endswith(suffixes) and os.path.exists(f)]


def room_of(path):
    parts = path.split("/")
    if parts[0] in ("include", "bpf"):
        return parts[0]
    if parts[0] == "user":
        return parts[1] if len(parts) > 2 else "user"
    return None


def resolve(includer, name):
    """The file of ours that `#include "name"` means, or None."""
    for base in (os.path.dirname(includer), "include", "user", "user/core", "bpf"):
        path = os.path.normpath(os.path.join(base, name))
        if os.path.exists(path):
            return path
    return None


def core_breach(path, target):
    """Within the core: does this include run against CORE?"""
    rooms = [p.split("/")[2] for p in (path, target) if p.startswith("user/core/")]
    if len(rooms) < 2:
        return None
    for p, room in zip((path, target), rooms):
        if room not in CORE:
            return f"{p}: a room of the core that the flow does not know"
    if CORE.index(rooms[1]) > CORE.index(rooms[0]):
        return f"{rooms[0]} includes {target}, which stands after it"
    return None


def check_include(path, room, line_no, quote, name):
    where = f"{path}:{line_no}"
    for pattern, why in MUST_NOT_SEE.get(room, {}).items():
        if quote == "<" and re.match(pattern, name):
            return f"{where}: <{name}>: {why}"
    if quote == "<":
        return None
    target = resolve(path, name)
    if target is None:
        if name.endswith(".skel.h") or name == "vmlinux.h":
            allowed = MAY_INCLUDE[room] | ({"generated"} if room == "bpf" else set())
            return None if "generated" in allowed else f"{where}: {name} is not for {room}"
        return f'{where}: "{name}" is not found'
    against = core_breach(path, target)
    if against:
        return f"{where}: {against}"
    target_room = room_of(target)
    if target_room in MAY_INCLUDE[room] or target in MAY_INCLUDE[room]:
        return None
    return f'{where}: {room} includes "{name}" of {target_room}, which stands after it'


def includes():
    breaches = []
    for path in tracked(".c", ".h"):
        room = room_of(path)
        if room is None:
            continue
        if room not in MAY_INCLUDE:
            breaches.append(f"{path}: a room that the flow does not know: {room}")
            continue
        with open(path, encoding="utf-8", errors="replace") as f:
            for n, line in enumerate(f, 1):
                m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
                breach = m and check_include(path, room, n, m[1], m[2])
                if breach:
                    breaches.append(breach)
    return breaches


def nm(args, files):
    return subprocess.run(["nm", *args, *files], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.splitlines()


def pure(archive):
    defined, wanted, member = set(), {}, "?"
    for line in nm([], [archive]):
        if line.endswith(".o:"):
            member = line[:-1]
            continue
        words = line.split()
        if len(words) == 2 and words[0] in "Uw":
            wanted.setdefault(words[1], member)
        elif len(words) == 3 and words[1].isupper():
            defined.add(words[2])
    if not defined:
        return [f"{archive}: no symbols at all"]
    return [f"{m}: needs {s}, which the pure core may not" for s, m in sorted(wanted.items())
            if s not in defined and not PURE.match(s)]


def mutable(files):
    if not files:
        return ["no object files; run make first"]
    breaches, seen = [], 0
    for line in nm(["-A", "-f", "sysv"], files):
        fields = [f.strip() for f in line.split("|")]
        if len(fields) < 7:
            continue
        seen += 1
        section = fields[6].split("\t")[0]
        where, _, symbol = fields[0].rpartition(":")
        # .data.rel.ro is constant: tables of strings in a position-independent program
        if re.match(r"\.(t?data|t?bss)(?!\.rel\.ro)", section) and fields[3] == "OBJECT":
            if not re.match(r"__(asan|ubsan|odr_asan)|completed\.", symbol):
                breaches.append(f"{where}: {symbol} is a mutable global ({section})")
    return breaches if seen else ["no symbols in the object files"]


def main(argv):
    checks = {"includes": lambda a: includes(), "pure": lambda a: pure(a[0]),
              "globals": mutable}
    if len(argv) < 2 or argv[1] not in checks or (argv[1] == "pure" and len(argv) != 3):
        print(__doc__, file=sys.stderr)
        return 2
    absent = [f for f in argv[2:] if not os.path.exists(f)]
    if absent:
        print(f"{absent[0]}: not there; run make first")
        return 1
    breaches = checks[argv[1]](argv[2:])
    print("\n".join(breaches), end="\n" if breaches else "")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
