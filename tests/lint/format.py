#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-format, but for what people align by hand.

    format.py [--diff] FILE...

Indentation, braces and blanks are clang-format's, and that no code passes column 100.
What it must not decide: columns within a line (comments and values set under each
other), the rows of a table (an initializer or an enum with one row a line, which it
would pack), and at which of its commas a long statement breaks. Silent and 0 when all is
well; else a line for each breach, and 1.
"""
import difflib
import re
import subprocess
import sys

COLUMNS = 100
ROW = re.compile(r"\s*([{.\[]|\}|/\*|\w+,|\w+ = [^;]*,|\"|FIELD|ROW)")


def normal(line):
    """The indentation stays; runs of blanks within the line become one."""
    lead = re.match(r"\s*", line)[0]
    body = re.sub(r"\s+", " ", line[len(lead):])
    body = re.sub(r"\{ | \}", lambda m: m[0].strip(), body)     # { 1 } is {1}
    body = re.sub(r"\s*(/\*|\\$)", r" \1", body).lstrip()
    return lead.replace(" " * 8, "\t") + body


def same_but_breaks(have, want):
    """The same code, broken into lines that all fit, at other places."""
    def joined(lines):
        return re.sub(r"[\s\\]+", "", "".join(lines))
    fits = all(len(x.split("/*")[0].rstrip().expandtabs(8)) <= COLUMNS for x in have)
    return len(have) + len(want) > 2 and fits and joined(have) == joined(want)


def breaches(path):
    with open(path, encoding="utf-8") as f:
        have = f.read().splitlines()
    want = subprocess.run(["clang-format", path], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.splitlines()
    a, b = [normal(x) for x in have], [normal(x) for x in want]
    for op, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if op == "equal" or all(ROW.match(x) for x in a[i:j] + b[k:m]):
            continue
        if not same_but_breaks(have[i:j], want[k:m]):
            yield i + 1, have[i:j], want[k:m]


def main(argv):
    show = "--diff" in argv
    bad = 0
    for path in (a for a in argv[1:] if a != "--diff"):
        for line, have, want in breaches(path):
            bad += 1
            print(f"{path}:{line}: {(have or ['(nothing)'])[0].strip()}")
            if show:
                print("\n".join(["  -" + x for x in have] + ["  +" + x for x in want]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
