# SPDX-License-Identifier: Apache-2.0
"""A kernel or a place that does not let it, and what is left to a run that is set up."""
import json
import os
import re
import shutil
import subprocess
import time

from fault.suite import NOTICES, SUMMARY
from tracers import Tracer, until


def no_btf(s):
    if subprocess.run(["unshare", "-m", "true"]).returncode:
        return s.skip("no BTF", "no mount namespace")
    s.one_line("no BTF: one line", r"this kernel has no BTF \(/sys/kernel/btf/vmlinux\): needs Linux "
               "5.10 or newer with CONFIG_DEBUG_INFO_BTF",
               ["unshare", "-m", "sh", "-c",
                'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"', s.tcptrail, "conns"])


def as_user(s, caps):
    """argv that runs the tracer as nobody, with these capabilities and no more."""
    copy = os.path.join(s.directory, "tcptrail")
    if not os.path.exists(copy):
        shutil.copy(s.tcptrail, copy)
        os.chmod(s.directory, 0o755)
    sets = ",".join(["-all", *("+" + c for c in caps)])
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={sets}",
            f"--ambient-caps={sets}", f"--bounding-set={sets}", copy]


def capabilities(s):
    place = re.escape(os.path.join(s.directory, "tcptrail"))
    remedy = rf" \(run as root, or: sudo setcap cap_bpf,cap_perfmon\+ep {place}\)"
    for caps, missing in (((), "CAP_BPF and CAP_PERFMON"), (("bpf",), "CAP_PERFMON"),
                          (("perfmon",), "CAP_BPF"), (("net_admin",), "CAP_BPF and CAP_PERFMON")):
        s.one_line(f"capabilities: only {'+'.join(caps) or 'none'}: one line",
                   f"needs {missing}{remedy}", [*as_user(s, caps), "conns"])
    before = os.path.join(s.directory, "before.ttr")
    with open(before, "wb") as f:
        f.write(b"an earlier recording")
    os.chmod(before, 0o666)
    s.one_line("capabilities: record FILE with none: one line",
               f"needs CAP_BPF and CAP_PERFMON{remedy}", [*as_user(s, ()), "record", before])
    with open(before, "rb") as f:
        s.check("... and the recording that was there is still there",
                f.read() == b"an earlier recording")
    port = s.next_port()
    t = Tracer(as_user(s, ("bpf", "perfmon"))[0],
               [*as_user(s, ("bpf", "perfmon"))[1:], "conns", "-o", "json", "-P", str(port),
                "--mode", "base"],
               s.directory, "user")
    s.check("a user with CAP_BPF and CAP_PERFMON: traces", t.wait_ready() is None, t.said())
    s.make("churn", port, "--count", 20)
    time.sleep(0.5)
    status = t.stop()
    said = s.says("... and ends with 0", status, NOTICES + SUMMARY, t)
    with open(t.out, "rb") as f:
        ends = f.read().count(b'"tcp.connection"')
    s.balance("... and tells every end", ends, int(said["slow"] or 0) if said else 0, 40)


def status_of(t):
    with open(f"/proc/{t.process.pid}/status", encoding="utf-8", errors="replace") as f:
        return dict(line.split(":\t", 1) for line in f if ":\t" in line)


def left_to_it(s):
    """Once it traces: no capability, no new privilege, a seccomp filter."""
    for args in (["conns"], ["events", "-r"], ["timeline"], ["watch"], ["states"], ["listeners"],
                 ["stuck", "--watch"]):
        t = s.tracer("left", *args)
        t.wait_ready()
        until(lambda t=t: status_of(t)["Seccomp"].strip() == "2")   # `stuck` does not say when
        status = status_of(t)
        t.stop()
        got = {k: status[k].strip() for k in ("CapEff", "CapPrm", "NoNewPrivs", "Seccomp")}
        s.check(f"{args[0]}: what is left: no capability, no new privileges, seccomp",
                int(got["CapEff"], 16) == int(got["CapPrm"], 16) == 0 and got["NoNewPrivs"] == "1"
                and got["Seccomp"] == "2", got)


INSIDE = """
"$0" conns -o json -P "$2" --mode base --no-snapshot >"$3/in.out" 2>"$3/in.err" & p=$!
until grep -qx "tcptrail: tracing" "$3/in.err" || ! kill -0 $p; do sleep 0.1; done
"$1" churn --count 50 --port "$2" >"$3/in.truth"
sleep 0.5
kill -INT $p
wait $p
"""


def container(s):
    """All namespaces its own. With the two capabilities it traces; without, one line."""
    apart = ["unshare", "-mnpuiCf", "--mount-proc", "sh", "-c", 'ip link set lo up && exec "$@"',
             "sh", "setpriv", "--inh-caps=-all"]
    if subprocess.run([*apart[:3], "true"], stderr=subprocess.DEVNULL).returncode:
        return s.skip("container", "namespaces are refused")
    done = subprocess.run([*apart, "--bounding-set=-all,+bpf,+perfmon", "sh", "-c", INSIDE,
                           s.tcptrail, s.scenario, str(s.next_port()), s.directory], timeout=60,
                          stdin=subprocess.DEVNULL)
    with open(os.path.join(s.directory, "in.err"), encoding="utf-8") as f:
        err = f.read()
    with open(os.path.join(s.directory, "in.out"), "rb") as f:
        ends = f.read().count(b'"tcp.connection"')
    said = re.fullmatch(NOTICES + SUMMARY, err)
    s.check("container with CAP_BPF and CAP_PERFMON: exit 0, what it says", said and
            not done.returncode, f"{done.returncode}\n{err}")
    s.balance("... and tells every end", ends, int(said["slow"] or 0) if said else 0, 100)
    for caps, missing in (("chown", "CAP_BPF and CAP_PERFMON"), ("bpf", "CAP_PERFMON"),
                          ("perfmon", "CAP_BPF")):
        s.one_line(f"container with {caps} alone: one line", f"needs {missing}, which root has not "
                   r"here \(a container\? add them to its capabilities\)",
                   [*apart, f"--bounding-set=-all,+{caps}", s.tcptrail, "conns"])
    return None


def user_namespace(s):
    if subprocess.run(["unshare", "-Ur", "true"], stderr=subprocess.DEVNULL).returncode:
        return s.skip("user namespace", "refused on this host")
    return s.one_line("user namespace: one line", "the kernel refuses BPF here: Operation not "
                      r"permitted \(in a container or a user namespace capabilities may not count: "
                      r"run on the host\)", ["unshare", "-Ur", s.tcptrail, "conns", "-d", "1"])


def no_fentry(s):
    """A kernel that refuses it: base mode, said once with its reason, and every end is told."""
    port = s.next_port()
    doctor = json.loads(subprocess.run([s.tcptrail, "doctor", "-o", "json"], check=True,
                                       capture_output=True).stdout)["tracer"]
    full = [h for h in doctor["hooks"] if h["mode"] == "full"]
    if any(h["status"] == "attached" for h in full):
        return s.skip("no fentry", "this kernel has it: tests/vm/faults.sh takes it away")
    errors = {h["error"] for h in full if h["status"] == "refused"}
    s.check("no fentry: the doctor refuses each hook of full mode, for one reason",
            len(errors) == 1 and doctor["mode"] == "base" and doctor["ready"], doctor)
    t = s.tracer("base", "conns", "-o", "json", "-P", str(port), "--no-snapshot")
    t.wait_ready()
    s.make("churn", port, "--count", 100)
    time.sleep(0.5)
    status = t.stop()
    s.says("no fentry: one line says so", status, r"tcptrail: base mode: this kernel refuses fentry "
           rf"\({re.escape(*errors)}\); request socks and the end of TIME-WAIT are unseen\n"
           r"tcptrail: tracing\n" + SUMMARY, t)
    with open(t.out, "rb") as f:
        s.balance("no fentry: every end is told", f.read().count(b'"tcp.connection"'), 0, 200)
    text = subprocess.run([s.tcptrail, "doctor"], capture_output=True, text=True,
                          check=True).stdout.splitlines()
    return s.check("no fentry: the doctor's first line and its reason", re.fullmatch(
        r"tcptrail \S+  ready, base mode", text[0]) and sum(line == "  refused by the kernel: "
        f"{[*errors][0]} (fentry)" for line in text) == 1, "\n".join(text))


def out_of_reach(s):
    """Namespaces that `stuck` may not look into: what was refused, and whether a capability would
    have helped."""
    needs = {"sys_admin": "  entering a namespace: needs CAP_SYS_ADMIN (run as root)\n",
             "sys_ptrace": "  reading /proc/PID/ns/net: needs CAP_SYS_PTRACE (run as root)\n"}
    refused = "  reading /proc/PID/ns/net: refused, although CAP_SYS_PTRACE is held\n" \
              "  (a sandbox or a security module forbids it: ask whoever runs that)\n"
    other = subprocess.Popen(["unshare", "-n", "sleep", "600"])   # one that there is for certain
    until(lambda: os.readlink(f"/proc/{other.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
    try:
        for caps in ((), ("sys_admin",), ("sys_ptrace",), ("sys_admin", "sys_ptrace")):
            argv = ["setpriv", "--inh-caps=-all", "--bounding-set=" +
                    ",".join(["-all", "+bpf", "+perfmon", *("+" + c for c in caps)]),
                    s.tcptrail, "stuck"]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
            out, name = done.stdout, f"out of reach with {'+'.join(caps) or 'neither'}"
            s.check(f"{name}: exit 0, nothing on stderr", done.returncode == 0 and not done.stderr,
                    done.stderr)
            if "sys_ptrace" not in caps:
                s.check(f"{name}: needs CAP_SYS_PTRACE", needs["sys_ptrace"] in out and
                        refused not in out, out)
            else:   # a host may refuse it all the same
                s.check(f"{name}: refused, if at all, although it is held",
                        needs["sys_ptrace"] not in out and ("the network namespace of" not in out or
                                                            refused in out), out)
            if caps == ("sys_ptrace",):
                s.check(f"{name}: needs CAP_SYS_ADMIN", needs["sys_admin"] in out, out)
            if "sys_admin" in caps:
                s.check(f"{name}: CAP_SYS_ADMIN is not asked for", needs["sys_admin"] not in out,
                        out)
    finally:
        other.kill()
        other.wait()


FAULTS = [no_btf, no_fentry, capabilities, left_to_it, container, user_namespace, out_of_reach]
