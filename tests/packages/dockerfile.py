# SPDX-License-Identifier: Apache-2.0
"""The Dockerfile, without Docker: its instructions are known ones, what it copies exists, what it
runs is valid shell whose own programs and make targets exist.

image.sh carries it out for real, in roots made from Debian's mirror.
"""
import os
import re
import subprocess

KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENTRYPOINT", "CMD"}


def instructions(root):
    """(INSTRUCTION, rest), with the lines that a backslash joins joined."""
    with open(os.path.join(root, "packaging", "Dockerfile"), encoding="utf-8") as f:
        text = re.sub(r"^#.*\n", "", f.read(), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def copy_faults(rest, root, stages):
    words = rest.split()
    if words[0].startswith("--from="):
        stage = words[0].split("=")[1]
        return [] if stage in stages else [f"no stage {stage}"]
    return [f"COPY: no {w}" for w in words[:-1] if not os.path.exists(os.path.join(root, w))]


def run_faults(rest, root, targets):
    done = subprocess.run(["sh", "-n", "-c", rest], capture_output=True, text=True, check=False)
    out = [done.stderr] if done.returncode else []
    for word in re.findall(r"(?:^|&&) *(\w+/\S+)", rest):
        if not os.access(os.path.join(root, word), os.X_OK):
            out.append(f"RUN: no program {word}")
    out += [f"RUN: no target {t}" for t in re.findall(r"\bmake ([a-z]\w*)", rest)
            if t not in targets and not re.search(r"install\b[^&]*\bmake", rest)]
    return out


def check(report, root):
    with open(os.path.join(root, "Makefile"), encoding="utf-8") as f:
        targets = set(re.findall(r"^([a-z][\w-]*):", f.read(), re.M))
    faults, stages, last = [], [], None
    for name, rest in instructions(root):
        if name not in KNOWN:
            faults.append(f"{name}: unknown to this check")
        if name == "FROM":
            last = rest.split()
            stages.append(last[2] if len(last) == 3 else None)
            if not re.match(r"debian:12(-slim)?$", last[0]):
                faults.append(f"FROM {rest}")
        if name == "COPY":
            faults += copy_faults(rest, root, stages)
        if name == "RUN":
            faults += run_faults(rest, root, targets)
    report.clean("Dockerfile: what it copies and runs exists", faults or
                 ([] if len(stages) == 2 else [f"{len(stages)} stages"]))
