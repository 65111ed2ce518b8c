#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scenario suite: real connections, traced, held against their own truth.

    run.py [--mode base|full] [--only NAME] [--tcptrail PATH] [--scenario PATH] [--keep DIR]
    run.py --from-dir DIR [--mode base|full] [--kernel RELEASE]

Live, the tracers are started once (conns, conns --until reaped, events), every scenario that
is not `long` is run, the tracers are stopped by SIGINT, and then each end's records are
judged (checks.py). With --from-dir, what a machine without Python recorded is judged:
DIR/JOB/{truth.ndjson,conns.out,events.out[,reaped.out]}; then a line `pass NAME`,
`fail NAME` or `skip NAME` sums each scenario up as well.

A line for each check, and a last line: N passed, N failed, N skipped. Exit 0 if none failed.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import checks  # noqa: E402
from expect import Watch  # noqa: E402
from records import Records, field, forget_cookies, read_lines  # noqa: E402
from tracers import Tracer  # noqa: E402
from tally import Tally  # noqa: E402
from witness import Witness  # noqa: E402

PORT = 24000
PORTS = "24000-24999"   # what else the host does is none of this suite's business
AT_ONCE = 4
OUTPUTS = {
    "conns": ["conns", "-o", "json"],
    "reaped": ["conns", "-o", "json", "--until", "reaped"],
    "events": ["events", "-o", "json"],
}
HOLD_LIMIT_MS = 300000   # of what is held until it is released


class Report(Tally):
    """What became of each scenario as well."""

    def __init__(self):
        super().__init__()
        self.scenarios = {}

    def clean(self, name, faults, scenario=None):
        super().clean(name, faults)
        if scenario:
            self.scenarios.setdefault(scenario, []).append(bool(faults))

    def skip(self, name, why, scenario=None):
        super().skip(name, why)
        if scenario:
            self.scenarios.setdefault(scenario, [])

    def sum_up(self):
        for name, verdicts in self.scenarios.items():
            print(("fail" if any(verdicts) else "pass" if verdicts else "skip"), name)

    def close(self):
        return max(self.end(), not self.passed)


def end_name(truth):
    conn = "" if truth["conn"] == "main" else f" {truth['conn']}"
    return f"{truth['scenario']}{conn} {truth['role']} {truth['local']}"


def judge_schema(report, outputs, scenario=None):
    """Every record of every output, by a real validator."""
    schema = os.path.join(ROOT, "schemas", "event-v1.schema.json")
    try:
        import jsonschema
    except ImportError:
        report.skip("schema", "python3-jsonschema is not installed", scenario)
        return
    if not os.path.exists(schema):
        report.skip("schema", "schemas/event-v1.schema.json is not there", scenario)
        return
    with open(schema, encoding="utf-8") as f:
        validator = jsonschema.Draft202012Validator(
            json.load(f), format_checker=jsonschema.FormatChecker())
    for tag, records in outputs.items():
        faults = []
        for r in records.all:
            error = next(validator.iter_errors(r), None)
            if error:
                faults.append(f"record {field(r, 'event.sequence')} ({field(r, 'event.name')}): "
                              f"{error.json_path}: {error.message[:160]}")
        if not records.all:
            faults.append("no record at all")
        report.clean(f"schema: {len(records.all)} records of {tag}", faults, scenario)


def judge_end(report, name, faults, truth, witness):
    """What no BPF program could see is no fault of the tracer's: skipped, and named."""
    why = faults and witness and witness.withheld(truth)
    if why:
        report.skip(name, why, truth["scenario"])
    else:
        report.clean(name, faults, truth["scenario"])


def judge_ends(report, truths, outputs, mode, earlier=False, witness=None):
    when = " (older than the tracer)" if earlier else ""
    for truth in truths:
        name = end_name(truth) + when
        if "conns" in outputs:
            judge_end(report, f"conns: {name}",
                      checks.connection(truth, outputs["conns"], mode, earlier), truth, witness)
        if "reaped" in outputs and not earlier:
            faults = checks.reaped(truth, outputs["reaped"])
            if faults is not None:
                judge_end(report, f"reaped: {name}", faults, truth, witness)
        if "lives" in truth and "events" in outputs:
            report.skip(f"events: {name}", "one tuple, several lives, and no cookie to tell")
        elif "events" in outputs and not earlier:
            judge_end(report, f"events: {name}", checks.changes(truth, outputs["events"], mode),
                      truth, witness)


def judge_strangers(report, truths, outputs, scenario=None):
    for records in outputs.values():
        records.meet(truths)
    for tag in ("conns", "reaped"):
        if tag in outputs:
            report.clean(f"{tag}: one record of each end, none of nobody",
                         checks.strangers(truths, outputs[tag]), scenario)


def sort_truth(report, objects, faults):
    """The ends; skips and failures are reported."""
    ends = []
    for o in objects:
        if "skipped" in o:
            report.skip(o["scenario"], o["skipped"], o["scenario"])
        elif "failed" in o:
            report.clean(f"scenario {o['scenario']}", [o["failed"]], o["scenario"])
        else:
            ends.append(o)
    if faults:
        report.clean("the scenarios' own output", faults)
    return ends


def load_outputs(report, paths, scenario=None):
    outputs = {}
    for tag, path in paths.items():
        objects, faults = read_lines(path)
        if faults:
            report.clean(f"{tag} is NDJSON", faults, scenario)
        outputs[tag] = Records(objects)
    return outputs


# ---- live -----------------------------------------------------------------------------------

def names_of(program):
    """(name, long) of every scenario."""
    out = subprocess.run([program, "--list"], check=True, stdout=subprocess.PIPE,
                         text=True).stdout
    return [(line.split()[0], " long " in line[line.rindex("["):]) for line in out.splitlines()]


def play(program, name, port, *more):
    done = subprocess.run([program, name, "--port", str(port), *more], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    lines = done.stdout.decode().splitlines()
    if done.returncode == 0 and not lines:
        lines = [json.dumps({"scenario": name, "failed": "printed no end"})]
    return lines


class Held:
    """A scenario that holds its state from when this is made until release()."""

    def __init__(self, program, name, port):
        self.process = subprocess.Popen(
            [program, name, "--port", str(port), "--hold", str(HOLD_LIMIT_MS), "--release"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process.stderr.readline()   # "held"; or it has ended, and its truth says why

    def release(self):
        """Its truth, a line an end."""
        return self.process.communicate()[0].decode().splitlines()


def play_all(program, names, directory):
    """Runs them, a few at a time, each on a port of its own."""
    path = os.path.join(directory, "truth.ndjson")
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool, \
            open(path, "w", encoding="utf-8") as truth:
        for lines in pool.map(lambda t: play(program, t[1], PORT + t[0]), enumerate(names)):
            truth.writelines(line + "\n" for line in lines)
    return path


def judge_closing(report, tracers):
    for t in tracers:
        status = t.stop()
        faults = [] if status == 0 else [f"exit status {status} after SIGINT"]
        said = t.said().decode(errors="replace")
        if "nothing lost" not in said:
            faults.append(said.strip().splitlines()[-1])
        report.clean(f"{t.tag}: ends by SIGINT, nothing lost", faults)


def live(report, options):
    directory = options.keep or tempfile.mkdtemp(prefix="tcptrail-kernel-")
    os.makedirs(directory, exist_ok=True)
    names = [n for n, is_long in names_of(options.scenario)
             if n in options.only or not options.only and not is_long]
    if not names:
        sys.exit(f"run.py: no scenario {' '.join(options.only)}; {options.scenario} --list")
    more = ["-P", PORTS] if not options.unfiltered else []
    more += ["--mode", options.mode] if options.mode else []
    earlier = [n for n in checks.EARLIER if n in names] if not options.no_earlier else []
    held = [Held(options.scenario, n, PORT + 400 + i) for i, n in enumerate(earlier)]
    tracers = [Tracer(options.tcptrail, args + more, directory, tag)
               for tag, args in OUTPUTS.items()]
    witness = Witness(*map(int, PORTS.split("-")))
    try:
        why = [w for w in (t.wait_ready() or held and t.turn() for t in tracers) if w]
        if why:
            report.clean("the tracers start", why)
            return
        earlier_truth = [json.loads(line) for h in held for line in h.release()]
        truth_path = play_all(options.scenario, names, directory)
        objects, faults = read_lines(truth_path)
        time.sleep(1)
        judge_closing(report, tracers)
    finally:
        for t in tracers:
            t.stop()
        witness.close()
        for h in held:
            h.process.kill()
            h.process.wait()
    outputs = load_outputs(report, {t.tag: t.out for t in tracers})
    judge_schema(report, outputs)
    mode = Watch(options.mode or "base", options.kernel)
    ends = sort_truth(report, objects, faults)
    earlier_ends = sort_truth(report, earlier_truth, [])
    forget_cookies(ends, os.uname().release)
    forget_cookies(earlier_ends, os.uname().release)
    judge_strangers(report, ends + earlier_ends, outputs)
    judge_ends(report, ends, outputs, mode, witness=witness)
    judge_ends(report, earlier_ends, outputs, mode, earlier=True, witness=witness)
    if options.keep:
        print(f"# kept in {directory}")
    else:
        shutil.rmtree(directory)


# ---- recorded -------------------------------------------------------------------------------

def release_of(directory):
    """The kernel that recorded it, by its own boot message; this one's where there is none."""
    path = os.path.join(directory, "dmesg")
    if not os.path.exists(path):
        return os.uname().release
    with open(path, encoding="utf-8", errors="replace") as f:
        said = re.search(r"Linux version (\d+\.\d+\S*)", f.read())
    return said[1] if said else os.uname().release


def recorded(report, options):
    release = release_of(options.from_dir)
    for name in sorted(os.listdir(options.from_dir)):
        directory = os.path.join(options.from_dir, name)
        truth = os.path.join(directory, "truth.ndjson")
        if not os.path.exists(truth) or options.only and name not in options.only:
            continue
        paths = {tag: os.path.join(directory, tag + ".out") for tag in OUTPUTS}
        paths = {tag: path for tag, path in paths.items() if os.path.exists(path)}
        objects, faults = read_lines(truth)
        if not objects:
            faults.append("no truth: the scenario did not end")
            report.scenarios.setdefault(name, []).append(True)
        ends = sort_truth(report, objects, faults)
        if not ends:
            continue
        forget_cookies(ends, release)
        outputs = load_outputs(report, paths, name)
        if "conns" not in outputs:
            report.clean(name, ["no conns.out"], name)
        judge_schema(report, outputs, name)
        judge_strangers(report, ends, outputs, name)
        judge_ends(report, ends, outputs, Watch(options.mode or "full", options.kernel))
    report.sum_up()


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--mode", choices=["base", "full"], help="default: base, in a directory full")
    p.add_argument("--kernel", default=os.uname().release, metavar="RELEASE",
                   help="the one that it was recorded on; default: this host's")
    p.add_argument("--only", action="append", default=[], metavar="NAME")
    p.add_argument("--tcptrail", default=os.path.join(ROOT, "build", "tcptrail"))
    p.add_argument("--scenario", default=os.path.join(ROOT, "build", "tests", "scenario"))
    p.add_argument("--from-dir", metavar="DIR")
    p.add_argument("--keep", metavar="DIR", help="leave the outputs there")
    p.add_argument("--unfiltered", action="store_true",
                   help=f"trace everything, not only the ports {PORTS}")
    p.add_argument("--no-earlier", action="store_true",
                   help="leave out connections older than the tracer")
    return p.parse_args()


def main():
    options = parse()
    report = Report()
    if options.from_dir:
        recorded(report, options)
    else:
        live(report, options)
    return report.close()


if __name__ == "__main__":
    # The validator is the distribution's package: another python3 may come first in PATH.
    DISTRIBUTION = "/usr/bin/python3"
    try:
        import jsonschema  # noqa: F401
    except ImportError:
        if os.path.exists(DISTRIBUTION) and os.path.realpath(sys.executable) != \
                os.path.realpath(DISTRIBUTION):
            os.execv(DISTRIBUTION, [DISTRIBUTION, *sys.argv])
    sys.exit(main())
