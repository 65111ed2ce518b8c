# SPDX-License-Identifier: Apache-2.0
"""One end's truth against the records that the tracer made of it.

Every function gives a list of complaints; an empty one is a pass. Times are never looked
at.
"""
from expect import EARLIER, EXPECT, NAMES, REAPED, TRIGGERS, Absent, OneOf, Watch
from records import field, split_address, tuple_of

MOD = 1 << 32
ANY = Watch("base", "99.0")  # for what is the same everywhere


def holds(want, got, mode):
    want = mode.choose(want)
    return want.holds(got) if hasattr(want, "holds") else got == want


def shown(want, mode):
    return repr(mode.choose(want))


def differ(record, wanted, mode):
    """wanted: {path: value or matcher}."""
    return [f"{path}: expected {shown(want, mode)}, got {field(record, path)!r}"
            for path, want in wanted.items() if not holds(want, field(record, path), mode)]


def path_of(record):
    """The states passed through; what stays in a state is no step."""
    states = []
    for step in field(record, "tcp.timeline") or []:
        state = step.get("state")
        if state and (not states or states[-1] != state):
            states.append(state)
    if len(states) > 1 and states[0] in ("closed", "listen"):
        states = states[1:]  # where every life begins
    return states


def path_differs(want, got):
    left = list(got)
    for state in want:
        optional = state.startswith("?")
        if left and left[0] == state.lstrip("?"):
            left.pop(0)
        elif not optional:
            return True
    return bool(left)


def row_of(truth, earlier=False):
    table = (EARLIER if earlier else EXPECT).get(truth["scenario"])
    if table is None:
        return None
    table = table.get(truth["conn"], table)
    return table.get(truth["role"])


def identity(truth, records):
    """What any record of this end must carry."""
    local, peer = split_address(truth["local"]), split_address(truth["peer"])
    want = {"tcp.netns": truth["netns"], "tcp.role": truth["role"],
            "network.transport": "tcp", "schema_version": "1.0"}
    if "cookie" in truth:
        want["tcp.socket_id"] = records.cookie_of(truth)
    if local:
        want["network.local.address"], want["network.local.port"] = local
    if peer:
        want["network.peer.address"], want["network.peer.port"] = peer
        want["network.type"] = "ipv6" if ":" in peer[0] else "ipv4"
    return want


def owner(truth, mode):
    """Who connected or accepted; base mode that saw no accept() says who first acted on it."""
    pids = {truth["pid"]}
    if mode == "base" and truth["role"] == "server" and "closer" in truth:
        pids.add(truth["closer"])
    want = {"process.pid": OneOf(*sorted(pids))}
    name = NAMES.get((truth["scenario"], truth["role"]))
    if name:
        want["process.name"] = name
    return want


def sequences(truth, fins):
    """ISNs as TCP_REPAIR told them; a FIN comes after the last byte."""
    if "isn_local" not in truth or fins is None:
        return {}
    mine = "client" if truth["role"] == "client" else "server"
    other = "server" if mine == "client" else "client"
    want = {f"tcp.handshake.{mine}_isn": truth["isn_local"],
            f"tcp.handshake.{other}_isn": truth["isn_peer"]}
    last = {mine: truth["isn_local"] + 1 + truth["sent"],
            other: truth["isn_peer"] + 1 + truth["received"]}
    for who in (mine, other):
        want[f"tcp.teardown.{who}_fin_seq"] = last[who] % MOD if who[0] in fins else Absent()
    return want


def negotiated(truth):
    if "timestamps" not in truth:
        return {}
    want = {"tcp.options." + k: truth[k] for k in ("timestamps", "sack", "ecn")}
    if truth["snd_wscale"] or truth["rcv_wscale"]:
        want["tcp.options.window_scale.send"] = truth["snd_wscale"]
        want["tcp.options.window_scale.receive"] = truth["rcv_wscale"]
    return want


def counters(truth, record, earlier):
    want = {}
    if not earlier:
        want["tcp.bytes_sent"] = truth["sent"]
        want["tcp.bytes_received"] = truth["received"]
    again = truth.get("handshake_retransmits")
    key = "syn" if truth["role"] == "client" else "synack"
    if again is None and "timestamps" not in truth and "retransmits" in truth:
        again = truth["retransmits"]  # never ESTABLISHED: all of them were SYNs
    if again is not None and not earlier:
        want[f"tcp.handshake.{key}_retransmits"] = again
    faults = differ(record, want, ANY)
    if "retransmits" in truth:
        # probes send nothing anew: the kernel does not count them either
        counted = field(record, "tcp.retransmits") or {}
        total = sum(counted.get(k, 0) for k in ("syn", "timeout", "fast", "slow_start",
                                                "tail_loss_probe"))
        if total != truth["retransmits"]:
            faults.append(f"tcp.retransmits: expected {truth['retransmits']} in all "
                          f"(TCP_INFO's total_retrans), got {counted}")
    return faults


def connection(truth, records, mode, earlier=False):
    """Complaints about the tcp.connection of one end."""
    row = row_of(truth, earlier)
    if row is None:
        return ["no expectation is written for it"]
    found = records.of_end(truth, "tcp.connection")
    if not found and row["optional"] and mode == "base":
        return []
    if len(found) != 1:
        return [f"expected one tcp.connection, got {len(found)}"]
    record = found[0]
    want = identity(truth, records)
    if earlier:
        # nothing that a socket keeps tells who sent the first SYN
        want["tcp.role"] = OneOf(truth["role"], "unknown")
    faults = differ(record, want, mode)
    faults += differ(record, row["fields"], mode)
    if not earlier:
        faults += differ(record, owner(truth, mode), mode)
    if field(record, "tcp.role") == truth["role"]:
        faults += differ(record, sequences(truth, row["fins"]), mode)
    faults += differ(record, negotiated(truth), mode)
    faults += counters(truth, record, earlier)
    if field(record, "tcp.incomplete"):
        faults.append(f"tcp.incomplete: {field(record, 'tcp.incomplete_reasons')}")
    if path_differs(row["path"], path_of(record)):
        faults.append(f"tcp.timeline: expected {' '.join(row['path'])}, "
                      f"got {' '.join(path_of(record))}")
    return faults


def strangers(truths, records):
    """Complaints about every tcp.connection that is no end's, or one too many of an end's: found
    by its addresses, for a record of the same end under another cookie is wrong as well. One that
    did not know its own address (it was refused) is found by its peer's: its port may be another
    connection's too."""
    ends, cookies, ports = {}, set(), set()
    for t in truths:
        key = ((split_address(t["local"]), split_address(t["peer"])), t["netns"])
        ends[key] = ends.get(key, 0) + 1
        cookies.add(t.get("cookie", ""))
        ports |= {side[1] for side in key[0] if side}
    faults, seen = [], {}
    for r in records.all:
        if field(r, "event.name") != "tcp.connection":
            continue
        key = (tuple_of(r), field(r, "tcp.netns"))
        blind = ((None, key[0][1]), key[1])
        key = blind if key not in ends and blind in ends else key
        ours = key[0][0] and key[0][0][1] in ports and key[0][1][1] in ports
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > ends.get(key, 0) and \
                (key in ends or ours and field(r, "tcp.socket_id") not in cookies):
            faults.append(f"{field(r, 'tcp.role')} {key[0]} sk:{field(r, 'tcp.socket_id')} "
                          f"{field(r, 'tcp.conn_state')}: {ends.get(key, 0)} made, this is the "
                          f"{seen[key]}.")
    return faults


def reaped(truth, records):
    """None where there is nothing to say: only some ends leave TIME_WAIT while we watch."""
    want = REAPED.get((truth["scenario"], truth["conn"], truth["role"]))
    if want is None:
        return None
    found = records.of_end(truth, "tcp.connection")
    if len(found) != 1:
        return [f"--until reaped: expected one tcp.connection, got {len(found)}"]
    return differ(found[0], {"tcp.teardown.time_wait": want}, ANY) + (
        [] if field(found[0], "tcp.teardown.time_wait_ns") is not None
        else ["--until reaped: no tcp.teardown.time_wait_ns"])


def changes(truth, records, mode):
    """Complaints about tcp.state_change, tcp.retransmit, tcp.reset of one end (`events`)."""
    row = row_of(truth)
    if row is None:
        return ["no expectation is written for it"]
    found = records.of_end(truth, "tcp.state_change")
    if not found and row["optional"] and mode == "base":
        return []
    states = [field(r, "network.connection.state") for r in found]
    walked = [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s]
    faults = []
    if path_differs(row["path"], walked):
        faults.append(f"tcp.state_change: expected {' '.join(row['path'])}, "
                      f"got {' '.join(map(str, walked))}")
    for r, before, state in zip(found, [None] + states, states):
        want = TRIGGERS.get(state)
        if want and before != state and field(r, "tcp.trigger") != want:
            faults.append(f"tcp.trigger into {state}: expected {want}, "
                          f"got {field(r, 'tcp.trigger')}")
        if state in ("fin_wait_1", "last_ack") and before != state and "closer" in truth and \
                field(r, "tcp.actor.pid") != truth["closer"]:
            faults.append(f"tcp.actor into {state}: expected pid {truth['closer']}, "
                          f"got {field(r, 'tcp.actor')}")
        if before is not None and field(r, "tcp.previous_state") != before:
            faults.append(f"tcp.previous_state into {state}: expected {before}, "
                          f"got {field(r, 'tcp.previous_state')}")
    kind = row["fields"]["tcp.teardown.kind"]
    direction = {"reset_sent": "sent", "reset_received": "received"}.get(kind)
    if mode == "base" and "fin_wait_2" in row["path"]:
        direction = None  # a RST to or from a minisock: no hook of base mode shows it
    if mode.kernel < row.get("reset_traced_from", (0,)):
        direction = None
    if direction:
        seen = [field(r, "tcp.reset.direction") for r in records.of_end(truth, "tcp.reset")]
        if direction not in seen:
            faults.append(f"tcp.reset: expected one {direction}, got {seen}")
    if "retransmits" in truth:
        probes = ("zero_window_probe", "keepalive", "synack")
        again = [r for r in records.of_end(truth, "tcp.retransmit")
                 if field(r, "tcp.retransmit.kind") not in probes]
        if len(again) != truth["retransmits"]:
            faults.append(f"tcp.retransmit: expected {truth['retransmits']}, got {len(again)}")
    return faults
