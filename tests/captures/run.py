#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Captures against Wireshark, and against what was lived.

    run.py --tcptrail PROGRAM [--scenario PROGRAM] [--only WORD] [--keep DIR]

Corner cases are written packet by packet (cases.py) and each is held to its expected
words; whatever tshark says of the same file must agree: the connections, relative numbers,
windows, completeness and tcp.analysis of every packet. With --scenario (root, tcpdump),
real connections are traced live and captured at once: both must tell one story. One line
a test, then "N passed, N failed, N skipped".
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))

import cases  # noqa: E402
import live  # noqa: E402
import packets  # noqa: E402
import wireshark  # noqa: E402
from tally import Tally  # noqa: E402



def field(record, path):
    for key in path.split("."):
        if not isinstance(record, dict) or key not in record:
            return None
        record = record[key]
    return record


class Tests(Tally):
    def __init__(self, only):
        super().__init__()
        self.only = only

    def clean(self, name, faults):
        if not self.only or self.only in name:
            super().clean(name, faults)


def ask(program, *args):
    """(records, stderr, status) of a JSON view."""
    run = subprocess.run([program, *args, "-o", "json"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=120)
    return [json.loads(line) for line in run.stdout.splitlines()], run.stderr, run.returncode


def of(records, name):
    return [r for r in records if field(r, "event.name") == name]


def hold_ends(conns, ends):
    """Each role's records must have these fields; a role that is None must have none."""
    faults = []
    for role, want in ends.items():
        mine = [c for c in conns if field(c, "tcp.role") == role]
        if want is None:
            faults += [f"{role}: has a record"] if mine else []
            continue
        if not mine:
            faults.append(f"{role}: no tcp.connection")
        for c in mine:
            faults += [f"{role}: {k} is {field(c, k)!r}, not {v!r}" for k, v in want.items()
                       if field(c, k) != v]
    for c in conns:
        for name in ("tcp.socket_id", "tcp.netns", "tcp.pair_socket_id", "process"):
            if field(c, name) is not None:
                faults.append(f"{name}: a capture cannot know")
        offsets = [s["offset_ns"] for s in c["tcp"]["timeline"]]
        if offsets != sorted(offsets):
            faults.append(f"timeline runs back: {offsets}")
    return faults


def corner(tests, program, name, case, path):
    packets.write(path, case.packets, case.link, case.snap, case.order)
    records, err, status = ask(program, "conns", "--open", "--from", path)
    faults = [f"exit {status}: {err}"] if status else []
    tests.clean(f"{name}: lives", faults + hold_ends(of(records, "tcp.connection"), case.ends))
    table, err, status = ask(program, "timeline", "--packets", "--from", path)
    table = of(table, "tcp.packet")
    faults = [f"exit {status}: {err}"] if status else []
    if len(table) != len(case.packets):
        faults.append(f"{len(table)} packets, not {len(case.packets)}")
    steps = [field(r, "tcp.packet.step") for r in table]
    if case.steps and steps != case.steps:
        faults.append(f"steps {steps}, not {case.steps}")
    tests.clean(f"{name}: steps", faults)
    if not case.wireshark:
        return
    if not wireshark.there():
        tests.skip(f"{name}: wireshark", "no tshark")
        return
    tests.clean(f"{name}: wireshark", wireshark.compare(path, table, case.differ))


def textbooks(tests, program):
    for name, first, client_isn, server_isn in (
            ("textbook-loopback", "server", 1592590338, 2886729730),
            ("textbook-svr4-bsd", "client", 1415531521, 1823083521)):
        path = os.path.join(HERE, name + ".pcap")
        records, _, status = ask(program, "conns", "--from", path)
        want = cases.both(first=first)
        for one in want.values():
            one.update({"tcp.handshake.client_isn": client_isn,
                        "tcp.handshake.server_isn": server_isn})
        faults = hold_ends(of(records, "tcp.connection"), want) + ([status] if status else [])
        tests.clean(f"{name}: lives", faults)
        table = of(ask(program, "timeline", "--packets", "--from", path)[0], "tcp.packet")
        steps = [field(r, "tcp.packet.step") for r in table]
        tests.clean(f"{name}: steps", [steps] if steps[:3] != cases.H or steps[-4:] != cases.T
                    else [])
        if wireshark.there():
            tests.clean(f"{name}: wireshark", wireshark.compare(path, table, (
                "ack_lost_segment",) if first == "server" else ()))  # of frames not kept


def wrong_files(tests, program, folder):
    whole = open(os.path.join(HERE, "textbook-svr4-bsd.pcap"), "rb").read()
    bad = {
        "empty": (b"", 2), "not_a_capture": (b"hello, world, this is no capture", 2),
        "header_only": (whole[:24], 0), "cut_in_a_packet": (whole[:200], 0),
        "cut_in_the_header": (whole[:10], 2),
        "absurd_length": (whole[:32] + b"\xff\xff\xff\x7f" + whole[36:], 2),
        "unknown_link": (whole[:20] + b"\x93\0\0\0" + whole[24:], 2),
    }
    for name, (data, want) in bad.items():
        path = os.path.join(folder, name)
        with open(path, "wb") as f:
            f.write(data)
        _, err, status = ask(program, "conns", "--from", path)
        faults = [] if status == want else [f"exit {status}, not {want}: {err}"]
        said = [line for line in err.splitlines() if path in line]
        if name != "header_only" and len(said) != 1:
            faults.append(f"said {err!r}")
        tests.clean(f"wrong file: {name}", faults)
    run = subprocess.run([program, "timeline", "--packets"], stderr=subprocess.PIPE, text=True)
    tests.clean("--packets without a capture", [] if run.returncode == 2 and
                run.stderr.count("\n") == 1 else [run.stderr])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tcptrail", required=True)
    parser.add_argument("--scenario")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    args = parser.parse_args()
    tests = Tests(args.only)
    with tempfile.TemporaryDirectory(prefix="tcptrail-captures-") as temporary:
        folder = args.keep or temporary
        os.makedirs(folder, exist_ok=True)
        textbooks(tests, args.tcptrail)
        for name, case in cases.CASES.items():
            if args.only in name:
                corner(tests, args.tcptrail, name, case, os.path.join(folder, name + ".pcap"))
        wrong_files(tests, args.tcptrail, folder)
        if args.scenario:
            live.run(tests, args.tcptrail, args.scenario, folder, ask, of, field)
    return tests.end()


if __name__ == "__main__":
    sys.exit(main())
