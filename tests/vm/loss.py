#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges what a VM handed back of loss.script: loss.py RUN_STATUS DIRECTORY

Three that know nothing of each other must agree on every path, at each end:

- the capture taken before the path: every buffer whose first number was sent before;
- the kernel's counters of that namespace (nstat);
- the tracer's tcp.retransmit records.

Per connection and direction the sequence numbers sent again must be the same list in the same
order, in records and capture. Sums, in records and counters (a buffer may be several segments;
then, and only then, the capture says of how many):

    TcpRetransSegs            = all kinds, in segments
    TcpExtTCPSynRetrans       = syn + synack
    TcpExtTCPFastRetrans      = fast, in segments
    TcpExtTCPSlowStartRetrans = slow_start, in segments
    TcpExtTCPTimeouts         = timeout + syn, and at most so many more: synack (its timer counts
                                too; a SYN that came again is answered without it), those that
                                gave up (TCPAbortOnTimeout), those whose first try was still in
                                the host's queues (TCPSpuriousRtxHostQueues)
    TcpExtTCPLossProbes      >= tail_loss_probe (a probe may send what is new)
    TcpExtTCPLostRetransmit  <= all kinds: each is a segment that had been sent again
"""
import collections
import json
import struct
import sys

import verdicts

FIN, SYN, RST, ACK = 1, 2, 4, 16
MOD = 1 << 32
ENDS = {"c": "10.0.1.2", "s": "10.0.2.2"}
# What the paths are there for: all of them together must have made each of these.
KINDS = ("syn", "synack", "timeout", "fast", "slow_start", "tail_loss_probe", "zero_window_probe")
ETHERNET = 1


def packets(path):
    """(source, source port, destination port, seq, payload, flags, mss or 0) of a capture."""
    data = path.read_bytes()
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    if magic not in (0xa1b2c3d4, 0xa1b23c4d) or link != ETHERNET:
        raise ValueError(f"{path.name}: no Ethernet capture")
    at = 24
    while at < len(data):
        _, _, have, _ = struct.unpack_from("<IIII", data, at)
        ip = data[at + 16 + 14:at + 16 + have]
        at += 16 + have
        head, total = (ip[0] & 15) * 4, struct.unpack_from(">H", ip, 2)[0]
        tcp = ip[head:]
        sport, dport, seq = struct.unpack_from(">HHI", tcp)
        flags, offset = tcp[13], (tcp[12] >> 4) * 4
        yield (".".join(map(str, ip[12:16])), sport, dport, seq, total - head - offset, flags,
               mss_option(tcp[20:offset]) if flags & SYN else 0)


def mss_option(options):
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
        elif options[0] == 2:
            return struct.unpack_from(">H", options, 2)[0]
        else:
            options = options[max(options[1], 2):]
    return 0


class Direction:
    """What one end sent of one connection."""

    def __init__(self):
        self.top = None      # one after the highest number sent
        self.again = []      # (first number, segments)
        self.mss = 0         # the largest payload that was one segment

    def take(self, seq, payload, flags, segment):
        span = payload + bool(flags & SYN) + bool(flags & FIN)
        if not span or flags & RST:
            return
        if self.top is not None and (seq - self.top) % MOD >= MOD // 2:
            self.again.append((seq, max(1, -(-payload // segment))))
        end = (seq + span) % MOD
        if self.top is None or (end - self.top) % MOD < MOD // 2:
            self.top = end


def capture(path, end, port):
    """{the client's port: Direction} of what that end sent."""
    flows, segment = collections.defaultdict(Direction), 1448
    for source, sport, dport, seq, payload, flags, _ in packets(path):
        if source == ENDS[end] and port in (sport, dport):
            flows[dport if sport == port else sport].take(seq, payload, flags, segment)
    return flows


def counters(path):
    lines = path.read_text(encoding="ascii").splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines if not line.startswith("#")}


def records(path):
    """{(an end's address, the server's port): [records]}."""
    found = collections.defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        r = json.loads(line)
        if r["event"]["name"] == "tcp.retransmit":
            n = r["network"]
            ports = (n["local"]["port"], n["peer"]["port"])
            mine = n["local"]["address"]
            found[mine, ports[mine == ENDS["c"]]].append(r)
    return found


def by_flow(mine):
    """{the client's port: [numbers sent again]} of an end's records."""
    flows = collections.defaultdict(list)
    for r in mine:
        n = r["network"]
        client = n["local" if n["local"]["address"] == ENDS["c"] else "peer"]
        flows[client["port"]].append(r["tcp"]["seq"] % MOD)
    return flows


def without_bare_probes(mine, seen):
    """A zero-window probe may be a segment again or, in full mode told too, one without data."""
    numbers = {(client, seq) for client, d in seen.items() for seq, _ in d.again}
    for r in mine:
        [(client, told)] = by_flow([r]).items()
        if r["tcp"]["retransmit"]["kind"] != "zero_window_probe" or (client, told[0]) in numbers:
            yield r


def same_numbers(seen, told):
    for client in sorted(set(seen) | set(told)):
        wire = [seq for seq, _ in seen[client].again] if client in seen else []
        if wire != told.get(client, []):
            yield f"port {client}: {len(wire)} on the wire, {len(told.get(client, []))} told: " \
                f"{wire[:6]} {told.get(client, [])[:6]}"


def in_segments(seen, mine):
    """How many segments each record was, by the capture: {kind: segments}."""
    rest = {client: list(d.again) for client, d in seen.items()}
    total = collections.Counter()
    for r in mine:
        n = r["network"]
        client = n["local" if n["local"]["address"] == ENDS["c"] else "peer"]["port"]
        total[r["tcp"]["retransmit"]["kind"]] += rest[client].pop(0)[1]
    return total


def agree(name, left, right):
    return [] if left == right else [f"{name} {left}, not {right}"]


def kinds_fit(count, segments, n):
    """Complaints, `count` in records and `segments` in segments, `n` nstat's."""
    yield "TcpRetransSegs", agree("all kinds", sum(segments.values()), n["TcpRetransSegs"])
    yield "TCPSynRetrans", agree("syn + synack", count["syn"] + count["synack"],
                                 n["TcpExtTCPSynRetrans"])
    yield "TCPFastRetrans", agree("fast", segments["fast"], n["TcpExtTCPFastRetrans"])
    yield "TCPSlowStartRetrans", agree("slow_start", segments["slow_start"],
                                       n["TcpExtTCPSlowStartRetrans"])
    sent, fired = count["timeout"] + count["syn"], n["TcpExtTCPTimeouts"]
    more = sum(n[f"TcpExtTCP{k}"] for k in ("AbortOnTimeout", "SpuriousRtxHostQueues"))
    yield "TCPTimeouts", [] if 0 <= fired - sent <= more + count["synack"] else \
        [f"timeout + syn {sent}, {fired} fired, {more} of them may have sent nothing: {count}"]
    yield "TCPLossProbes", [] if count["tail_loss_probe"] <= n["TcpExtTCPLossProbes"] else \
        [f"{count} > {n['TcpExtTCPLossProbes']}"]
    yield "TCPLostRetransmit", \
        [] if n["TcpExtTCPLostRetransmit"] <= sum(segments.values()) else [f"{count} {n}"]


def judge(results):
    """(what, complaints) of every case."""
    told = records(results / "events.ndjson")
    stats = json.loads((results / "events.ndjson").read_text("utf-8").splitlines()[-1])
    lost = stats["tracer"]["lost"]
    yield "the tracer lost nothing", agree("lost", lost["total"], 0)
    made = collections.Counter()
    for path in sorted(results.glob("*.port")):
        name, port = path.stem, int(path.read_text(encoding="ascii"))
        for end, address in ENDS.items():
            what = f"{name}, {'client' if end == 'c' else 'server'}"
            whole = (results / f"{name}.{end}.tcpdump").read_text(encoding="ascii")
            yield f"{what}: the capture is whole", \
                [] if "\n0 packets dropped by kernel" in whole else [whole]
            seen = capture(results / f"{name}.{end}.pcap", end, port)
            mine = list(without_bare_probes(told[address, port], seen))
            count = collections.Counter(r["tcp"]["retransmit"]["kind"] for r in mine)
            made += count
            faults = list(same_numbers(seen, by_flow(mine)))
            yield f"{what}: {len(mine)} numbers sent again, as the wire has them", faults
            if faults:
                continue
            n = counters(results / f"{name}.{end}.nstat")
            for counter, faults in kinds_fit(count, in_segments(seen, mine), n):
                yield f"{what}: {counter}", faults
    for kind in KINDS:
        yield f"{kind}: {made[kind]} of them were made", [] if made[kind] else ["none"]
    yield "every kind is known", agree("kinds", sorted(set(made) - set(KINDS)), [])
    total = collections.Counter(r["tcp"]["retransmit"]["kind"] for rs in told.values() for r in rs)
    yield "the closing record's sums", agree("sums", stats["tracer"]["retransmits"], dict(total))


if __name__ == "__main__":
    sys.exit(verdicts.main("loss", lambda where: judge(where / "results" / "all")))
