# SPDX-License-Identifier: Apache-2.0
"""The completions against the program's own --help: every option of every command is offered,
nothing else is, and the program takes every value that is offered.

--help is read here anew, not with what the completions are made with.
"""
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# Where a FILTER begins, and the keys with a few words behind them.
LIMIT_S = 600   # for all lines that zsh is asked for; nothing asserts how soon
FILTERS = ("", "state", "exclude", "role", "verdict")


def said(*command):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True, timeout=LIMIT_S).stdout


def commands(program):
    part = said(program, "--help").split("\nCommands", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^  ([a-z]+)  ", part, re.M)


def options(program, command):
    """(spellings, takes a value) of each line of --help that is an option's."""
    text = said(program, *filter(None, [command]), "--help")
    return [([w for w in (m[1], m[2]) if w], bool(m[3])) for m in
            re.finditer(r"^  (?:(-\S), |    )(--[a-z0-9-]+)( [^ \n]+)?", text, re.M)]


def accepts(program, *words):
    """Parsed without a complaint; with --help behind them nothing is traced."""
    return subprocess.run([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=LIMIT_S, check=False).returncode == 0


def compare(offered, wanted):
    return [f"not offered: {w}" for w in sorted(wanted - offered)] + \
        [f"offered, not in --help: {w}" for w in sorted(offered - wanted)]


class Bash:
    def __init__(self, path):
        self.path = path

    def offers(self, lines):
        out = {}
        for line in lines:
            words = line.split(" ")[1:]
            done = said("bash", os.path.join(HERE, "complete.bash"), self.path, *words)
            out[line] = set(done.split())
        return out


class Zsh:
    def __init__(self, path):
        self.directory = os.path.dirname(path)

    def offers(self, lines):
        out = {line: set() for line in lines}
        for row in said("zsh", "-f", os.path.join(HERE, "complete.zsh"), self.directory,
                        *lines).splitlines():
            line, offer = row.split("\t")
            out[line].add(offer)
        return out


def value_lines(program, command):
    for spellings, takes in options(program, command):
        if takes:
            yield f"tcptrail {command} {spellings[-1]}=", command, spellings[-1]


def check_values(program, names, shell, offers_of):
    """What is offered behind '--option=' is taken. Words alone: a path or a pid is none of ours."""
    lines, tried = {}, set()
    for line, command, option in (row for c in names for row in value_lines(program, c)):
        # the formats are each command's own
        if option in offers_of and (option == "--output" or option not in tried):
            lines[line] = (command, option)
            tried.add(option)
    faults, seen = [], 0
    for line, words in shell.offers(lines).items():
        command, option = lines[line]
        if not words:
            faults.append(f"nothing for {line}")
        for word in words:
            seen += 1
            if not accepts(program, command, f"{option}={word}", "--help"):
                faults.append(f"{line}{word} is refused")
    return faults if seen else ["no value was offered at all"]


def enumerated(program, names):
    """Options whose values are words: the program says "expected a, b or c"."""
    found = {"--output", "--explain"}
    for command in names:
        for spellings, takes in options(program, command):
            if not takes:
                continue
            done = subprocess.run([program, command, f"{spellings[-1]}=?", "--help"], check=False,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if re.search(r"expected [a-z0-9-]+(, [a-z0-9-]+)* or [a-z0-9-]+$", done.stderr.strip()):
                found.add(spellings[-1])
    return found


def check_filters(program, shell):
    """The keys of a FILTER, and the words behind some of them, on a recording."""
    recording = os.path.join(ROOT, "tests", "golden", "normal.ttr")
    typed = {f"tcptrail conns {key} ".replace("  ", " "): key for key in FILTERS}
    faults = []
    for line, words in shell.offers(typed).items():
        key = typed[line]
        if len(words) < 3:
            faults.append(f"{line!r}: {words}")
        for word in words if key else ():
            operator = [] if key in ("state", "exclude") else ["="]
            if not accepts(program, "conns", "--from", recording, key, *operator, word):
                faults.append(f"{key} {word} is refused")
    return faults


def check(report, program, name, shell):
    names = commands(program)
    wanted = {f"tcptrail {c} -".replace("  ", " "): {w for s, _ in options(program, c) for w in s}
              for c in [*names, ""]}
    offered = shell.offers(wanted)
    for line, words in wanted.items():
        report.clean(f"{name}: options of '{line}'", compare(offered[line], words))
    first = shell.offers(["tcptrail "])["tcptrail "]
    report.clean(f"{name}: commands", [f"not offered: {c}" for c in names if c not in first])
    report.clean(f"{name}: values",
                 check_values(program, names, shell, enumerated(program, names)))
    report.clean(f"{name}: FILTER", check_filters(program, shell))


def manual(program):
    """Each option stands in the manual too."""
    with open(os.path.join(ROOT, "man", "tcptrail.8"), encoding="utf-8") as f:
        text = f.read().replace("\\-", "-")
    return [f"not in the manual: {s[-1]}" for s, _ in options(program, "")
            if not re.search(rf"\bFl {re.escape(s[-1][1:])}(?![\w-])", text)]


def run(report, program, directory):
    """The completions as they are made now, from this program."""
    for name, file, kind in (("bash", "tcptrail", Bash), ("zsh", "_tcptrail", Zsh)):
        if not shutil.which(name):
            report.skip(f"{name}: completion", f"{name} is not installed")
            continue
        path = os.path.join(directory, file)
        with open(path, "w", encoding="utf-8") as f:
            f.write(said(os.path.join(ROOT, "packaging", "completion.sh"), program, name))
        check(report, program, name, kind(path))
    report.clean("the manual has every option", manual(program))
