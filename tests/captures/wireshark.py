# SPDX-License-Identifier: Apache-2.0
"""The same capture as tshark dissects it, held against our packet table."""
import os
import shutil
import subprocess

FIELDS = ["frame.number", "tcp.stream", "tcp.seq", "tcp.ack", "tcp.seq_raw", "tcp.len",
          "tcp.flags", "tcp.window_size", "tcp.completeness"]
# Wireshark's word: ours. Its "retransmission" covers the fast and the spurious ones too.
ANALYSIS = {
    "retransmission": {"retransmission", "fast_retransmission", "spurious_retransmission"},
    "fast_retransmission": {"fast_retransmission"},
    "spurious_retransmission": {"spurious_retransmission"},
    "out_of_order": {"out_of_order"},
    "keep_alive": {"keep_alive"},
    "keep_alive_ack": {"keep_alive_ack"},
    "zero_window": {"zero_window"},
    "zero_window_probe": {"zero_window_probe"},
    "zero_window_probe_ack": {"zero_window_probe_ack"},
    "window_update": {"window_update"},
    "duplicate_ack": {"duplicate_ack"},
    "lost_segment": {"gap_before"},
    "ack_lost_segment": {"acked_unseen"},
}
SYN, RST, FIN, ACK = 2, 4, 1, 16


def tool():
    return shutil.which("tshark", path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def there():
    return tool() is not None


def dissect(path):
    words = FIELDS + ["tcp.analysis." + a for a in ANALYSIS]
    args = [tool(), "-r", path, "-n", "-2", "-T", "fields", "-Y", "tcp"]
    for word in words:
        args += ["-e", word]
    out = subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True).stdout
    return [dict(zip(words, line.split("\t"))) for line in out.splitlines()]


def completeness(table):
    """Wireshark's bits of each of our connections, from our own packet table."""
    bits = {}
    for r in table:
        p = r["tcp"]["packet"]
        flags, number = p["flags"], p.get("connection")
        bit = 0
        if "syn" in flags:
            bit = 2 if "ack" in flags else 1
        else:
            bit = (32 if "rst" in flags else 0) | (16 if "fin" in flags else 0) | \
                (8 if p["payload_length"] else 0) | (4 if "ack" in flags else 0)
        bits[number] = bits.get(number, 0) | bit
    return bits


def ours_of(word, p):
    """Do we say so too? Linux probes a closed window with the number before, which Wireshark
    calls a keep-alive, and the answer to that nothing."""
    notes = set(p["notes"])
    if word == "zero_window_probe" and not p["payload_length"]:
        return False
    if word == "keep_alive" and "zero_window_probe" in p["notes"] and not p["payload_length"]:
        return True
    return bool(notes & ANALYSIS[word])


def to_itself(r):
    """A socket that is connected to itself: Wireshark takes both directions for one."""
    return r["network"]["local"] == r["network"]["peer"]


def compare(path, table, differ):
    """What does not agree, in words."""
    theirs, faults, begun = dissect(path), [], set()
    streams, bits = {}, completeness(table)
    if len(theirs) != len(table):
        return [f"{len(table)} packets, tshark has {len(theirs)}"]
    for w, r in zip(theirs, table):
        p = r["tcp"]["packet"]
        number = w["frame.number"]
        stream = streams.setdefault(w["tcp.stream"], p.get("connection"))
        if stream != p.get("connection"):
            faults.append(f"#{number}: connection {p.get('connection')}, tshark's {stream}")
        pairs = [("tcp.seq", "relative_seq"), ("tcp.seq_raw", "seq"), ("tcp.len", "payload_length"),
                 ("tcp.window_size", "window")]
        if "ack" in p["flags"]:
            pairs.append(("tcp.ack", "relative_ack"))
        faults += [f"#{number}: {ours} {p[ours]}, tshark {w[name]}" for name, ours in pairs
                   if int(w[name]) != p[ours] and ours not in differ]
        for word in ANALYSIS:
            said, here = bool(w["tcp.analysis." + word]), ours_of(word, p)
            if said != here and word not in differ and not to_itself(r):
                faults.append(f"#{number}: {word}: {'tshark' if said else 'we'} alone: "
                              f"{p['notes']}")
        first = stream not in begun  # of which tshark does not know yet what comes
        begun.add(stream)
        if w["tcp.completeness"] and not first and bits[p.get("connection")] != int(w["tcp.completeness"]):
            faults.append(f"#{number}: completeness {bits[p.get('connection')]}, "
                          f"tshark {w['tcp.completeness']}")
    return faults
