#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random connections, and every record of theirs held against three that know better.

    hunt.py [--seeds 1-10] [--count N] [--tcptrail PATH] [--flows PATH] [--keep DIR] [--from-dir DIR]

For each seed hunting/hunt.script makes 3 x N connections in namespaces of its own, under two
tracers and tcpdump; then each end's tcp.connection is held against

- the packets that left it and came to it, by an oracle over tshark's fields (hunting/oracle.py);
- the journal of the calls that its processes made;
- `tcptrail conns --from` of the same packets;
- itself: legal arcs, monotonic time, durations, the schema.

A line for each check, and a last line: N passed, N failed, N skipped. Exit 0 if none failed.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(HERE, "hunting")]

import judge  # noqa: E402
from judge import instant  # noqa: E402
import oracle  # noqa: E402
from records import field, read_lines, tuple_of  # noqa: E402
from tally import Tally  # noqa: E402
import wire  # noqa: E402
from witness import Witness  # noqa: E402

PORTS = (39000, 39599)
PLACES = {"lo": ("lo", "lo"), "wire": ("wire-c", "wire-s"), "loss": ("loss-c", "loss-s")}
SCRIPT = os.path.join(HERE, "hunting", "hunt.script")


class Results:
    """What one run left in its folder."""

    def __init__(self, directory, tcptrail):
        self.directory = directory
        with open(self.path("namespaces"), encoding="ascii") as f:
            self.names = {int(n): name for n, name in map(str.split, f)}
        self.faults, self.hidden = [], []
        if os.path.exists(self.path("withheld")):
            with open(self.path("withheld"), encoding="ascii") as f:
                self.hidden = json.load(f)
        self.conns = [r for r in self.read("conns.ndjson") if field(r, "tcp.netns") in self.names
                      and field(r, "event.name") == "tcp.connection"]
        self.journal = {p: self.read(f"{p}.journal") for p in PLACES}
        self.packets, self.reader = {}, {}
        for name in set(sum(PLACES.values(), ())):
            self.packets[name] = oracle.lives(self.path(f"{name}.pcap"))
            out = subprocess.run([tcptrail, "conns", "-o", "json", "--open", "--from",
                                  self.path(f"{name}.pcap")], check=True, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            found = collections.defaultdict(list)
            for r in map(json.loads, out.splitlines()):
                if field(r, "event.name") == "tcp.connection":
                    found[tuple_of(r)].append(r)
            self.reader[name] = found

    def withheld(self, local, peer):
        """Was an event of these ports kept from every BPF program (witness.py)?"""
        return sorted((local[1], peer[1])) in self.hidden

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        objects, faults = read_lines(self.path(name))
        self.faults += faults
        return objects

    def life_of(self, r):
        """The connection on the wire that a record tells of; None: there is none."""
        if judge.never_sent(r):
            return None
        local, peer = tuple_of(r)
        name = self.names[field(r, "tcp.netns")]
        isns = {field(r, f"tcp.handshake.{w}_isn") for w in ("client", "server")} - {None}
        best = None
        for these in self.packets[name].get(frozenset((local, peer)), []):
            if isns and not isns & {p.seq for p in these if p.flags & oracle.SYN}:
                continue
            start = abs(these[0].time - instant(field(r, "event.start")))
            if start < 1.5 + 8 * bool(isns) and (best is None or start < best[0]):
                best = (start, these)
        return best and judge.life(r, local, best[1])

    def read_of(self, r):
        """The same end as the capture's reader has it."""
        name = self.names[field(r, "tcp.netns")]
        isn = field(r, "tcp.handshake.client_isn")
        same = self.reader[name].get(tuple_of(r), [])
        found = [c for c in same if field(c, "tcp.handshake.client_isn") == isn] or \
            [c for c in same if isn is None or field(c, "tcp.handshake.client_isn") is None]
        return min(found, default=None, key=lambda c: abs(
            instant(field(c, "event.start")) - instant(field(r, "event.start"))))


def truths(results):
    """{(netns, cookie) or (netns, local, peer): (line, role)} of every end."""
    found = {}
    for line in sum(results.journal.values(), []):
        for role in ("client", "server"):
            t = line[role]
            if int(t["cookie"], 16):
                found[t["netns"], t["cookie"]] = (line, role)
            elif t["netns"]:
                c = line["client"]
                found.setdefault((t["netns"], tuple(c["peer"]), tuple(c["local"])),
                                 []).append((line, role))
    return found


def truth_of(found, r):
    """(line, role) of an end; None: nobody made it. A number never had, and a tuple used more than
    once: which of them it was is not known, and the first is as good as the last."""
    netns = field(r, "tcp.netns")
    own = found.get((netns, field(r, "tcp.socket_id")))
    if own:
        return own
    same = found.get((netns, *tuple_of(r)), [None])
    return same[0] if len(same) == 1 else (None, field(r, "tcp.role"))


def validator():
    try:
        import jsonschema
    except ImportError:
        return None
    with open(os.path.join(ROOT, "schemas", "event-v1.schema.json"), encoding="utf-8") as f:
        return jsonschema.Draft202012Validator(json.load(f))


def judge_end(results, found, check, r):
    """{which judge: complaints}"""
    life, same, truth = results.life_of(r), results.read_of(r), truth_of(found, r)
    said = {"itself": judge.sane(r), "wire": judge.wire(r, life),
            "reader": judge.captured(r, same, life),
            "journal": ["nobody made it"] if not truth else
                       judge.journal(r, *truth) if truth[0] else []}
    if check:
        said["schema"] = [e.message[:200] for e in check.iter_errors(r)]
    return said


def name_of(results, found, r):
    truth = truth_of(found, r)
    number = f" #{truth[0]['number']}" if truth and truth[0] else ""
    return f"{results.names[field(r, 'tcp.netns')]}{number} {field(r, 'tcp.socket_id')} " \
        f"{field(r, 'tcp.role')} {tuple_of(r)}"


def cases(results):
    """(what, complaints) of one run; complaints None: it could not be judged."""
    found, check = truths(results), validator()
    totals, hidden = collections.defaultdict(list), []
    for r in results.conns:
        said, name = judge_end(results, found, check, r), name_of(results, found, r)
        if any(said.values()) and results.withheld(*tuple_of(r)):
            hidden.append(name)
            continue
        for who, faults in said.items():
            totals[who] += [f"{name}: {f}" for f in faults]
    yield "the run was whole", whole(results)
    for name in hidden:
        yield f"{name}: withheld from every BPF program, on top of pid 1", None
    for who, faults in totals.items():
        yield f"{len(results.conns)} ends against {who}", faults
    yield "every end has one record", missing(results)


def whole(results):
    """Nothing that was to be compared may be missing."""
    faults = list(results.faults)
    if not results.conns:
        faults.append("no record")
    if os.path.exists(results.path("broken")):
        faults.append("a tracer did not end with 0")
    for name in ("conns", "events"):
        with open(results.path(f"{name}.err"), encoding="utf-8") as f:
            said = f.read()
        if "nothing lost" not in said:
            faults.append(f"{name}: {said.strip().splitlines()[-1]}")
    for name in results.packets:
        with open(results.path(f"{name}.tcpdump"), encoding="utf-8") as f:
            if "\n0 packets dropped by kernel" not in f.read():
                faults.append(f"{name}: the capture has gaps")
    return faults


def judge_run(tally, results, run):
    for what, faults in cases(results):
        if faults is None:
            tally.skip(f"{run}: {what}", "not here")
        else:
            tally.clean(f"{run}: {what}", faults)


def missing(results):
    """Ends that were established by the journal and have no record, or more than one."""
    count = collections.Counter((field(r, "tcp.netns"), field(r, "tcp.socket_id"))
                                for r in results.conns)
    faults = []
    for place, lines in results.journal.items():
        for line in lines:
            for role in ("client", "server"):
                t = line[role]
                n = count[t["netns"], t["cookie"]]
                if t["established"] and n != 1 and \
                        not results.withheld(t["local"], t["peer"]):
                    faults.append(f"{place} #{line['number']} {role} sk {t['cookie']}: {n} records")
    return faults


def make(options, seed, directory):
    """Runs the script in namespaces of its own."""
    bin_dir = os.path.join(directory, "bin")
    os.makedirs(bin_dir)
    for name, path in (("tcptrail", options.tcptrail), ("hunt_flows", options.flows)):
        os.symlink(os.path.abspath(path), os.path.join(bin_dir, name))
    with open(SCRIPT, encoding="utf-8") as f, \
            open(os.path.join(directory, "script"), "w", encoding="utf-8") as out:
        out.write(f"seed={seed} count={options.count} mode={options.mode} out={directory}\n")
        out.write(f.read())
    os.makedirs("/run/netns", exist_ok=True)
    witness = Witness(*PORTS)
    env = {**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}:/usr/sbin:/sbin"}
    try:
        subprocess.run(["nice", "unshare", "-n", "-m", "sh", "-c",
                        'mount -t tmpfs none /run/netns && exec sh "$0"', f"{directory}/script"],
                       check=True, env=env)
        witness.poll()
    finally:
        witness.close()
    withheld = [sorted(e.ports) for e in witness.of_init()]
    with open(os.path.join(directory, "withheld"), "w", encoding="ascii") as f:
        json.dump(withheld, f)


def seeds_of(text):
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seeds", default="1", metavar="A-B")
    p.add_argument("--count", type=int, default=100, help="connections on each of three paths")
    p.add_argument("--mode", choices=["base", "full", "auto"], default="auto")
    p.add_argument("--tcptrail", default=os.path.join(ROOT, "build", "tcptrail"))
    p.add_argument("--flows", default=os.path.join(ROOT, "build", "tests", "hunt_flows"))
    p.add_argument("--keep", metavar="DIR", help="leave what was recorded there, a folder a seed")
    p.add_argument("--from-dir", metavar="DIR", help="judge what was recorded before")
    options = p.parse_args()
    tally = Tally()
    why = "needs root" if os.geteuid() else wire.missing()
    if why and not options.from_dir:
        tally.skip("hunt", why)
        return tally.end()
    if options.from_dir:
        judge_run(tally, Results(options.from_dir, options.tcptrail), options.from_dir)
        return tally.end()
    for seed in seeds_of(options.seeds):
        with tempfile.TemporaryDirectory(prefix="tcptrail-hunt-") as scratch:
            directory = scratch
            if options.keep:
                directory = os.path.join(options.keep, str(seed))
                os.makedirs(directory)
            make(options, seed, directory)
            judge_run(tally, Results(directory, options.tcptrail), f"seed {seed}")
    return tally.end()


if __name__ == "__main__":
    # The validator is the distribution's package: another python3 may come first in PATH.
    DISTRIBUTION = "/usr/bin/python3"
    if not validator() and os.path.exists(DISTRIBUTION) and \
            os.path.realpath(sys.executable) != os.path.realpath(DISTRIBUTION):
        os.execv(DISTRIBUTION, [DISTRIBUTION, *sys.argv])
    sys.exit(main())
