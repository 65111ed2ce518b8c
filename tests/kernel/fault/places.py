# SPDX-License-Identifier: Apache-2.0
"""A kernel or a place that does not let it, and what is left to a run that is set up."""
import os
import shutil
import subprocess
import time

from fault.suite import PORT
from tracers import READY, Tracer


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
    remedy = r" \(run as root, or: sudo setcap cap_bpf,cap_perfmon\+ep .*\)"
    for caps, missing in (((), "CAP_BPF and CAP_PERFMON"), (("bpf",), "CAP_PERFMON"),
                          (("perfmon",), "CAP_BPF"), (("net_admin",), "CAP_BPF and CAP_PERFMON")):
        s.one_line(f"capabilities: only {'+'.join(caps) or 'none'}: one line",
                   f"needs {missing}{remedy}", [*as_user(s, caps), "conns"])
    port = s.next_port()
    t = Tracer(as_user(s, ("bpf", "perfmon"))[0],
               [*as_user(s, ("bpf", "perfmon"))[1:], "conns", "-o", "json", "-P", str(port)],
               s.directory, "user")
    s.check("a user with CAP_BPF and CAP_PERFMON: traces", t.wait_ready() is None, t.said())
    s.make("churn", port, "--count", 20)
    time.sleep(0.5)
    status = t.stop()
    ends = sum(b'"tcp.connection"' in line for line in open(t.out, "rb"))
    s.check("... and tells every end", status == 0 and ends == 40, f"{status} {ends} {t.said()}")


def left_to_it(s):
    """Once it traces: no capability, no new privilege, a seccomp filter."""
    for args in (["conns"], ["events", "-r"], ["timeline"], ["watch"], ["states"], ["listeners"],
                 ["stuck", "--watch"]):
        t = s.tracer("left", *args)
        t.wait_ready()
        for _ in range(100):   # `stuck` does not say that it traces
            status = dict(line.split(":\t", 1) for line in
                          open(f"/proc/{t.process.pid}/status") if ":\t" in line)
            if status["Seccomp"].strip() == "2":
                break
            time.sleep(0.05)
        t.stop()
        got = {k: status[k].strip() for k in ("CapEff", "CapPrm", "NoNewPrivs", "Seccomp")}
        s.check(f"{args[0]}: what is left: no capability, no new privileges, seccomp",
                int(got["CapEff"], 16) == int(got["CapPrm"], 16) == 0 and got["NoNewPrivs"] == "1"
                and got["Seccomp"] == "2", got)


def container(s):
    """All namespaces its own. With the two capabilities it traces; without, one line."""
    apart = ["unshare", "-mnpuiCf", "--mount-proc", "setpriv", "--inh-caps=-all"]
    if subprocess.run([*apart[:3], "true"], stderr=subprocess.DEVNULL).returncode:
        return s.skip("container", "namespaces are refused")
    done = subprocess.run([*apart, "--bounding-set=-all,+bpf,+perfmon", s.tcptrail, "conns", "-d",
                           "0.3", "-P", str(PORT)], capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    s.check("container with CAP_BPF and CAP_PERFMON: traces", done.returncode == 0
            and READY in done.stderr, done.stderr)
    s.one_line("container without: one line", r"needs CAP_BPF and CAP_PERFMON \(.*\)",
               [*apart, "--bounding-set=-all,+chown", s.tcptrail, "conns"])


def user_namespace(s):
    if subprocess.run(["unshare", "-Ur", "true"], stderr=subprocess.DEVNULL).returncode:
        return s.skip("user namespace", "refused on this host")
    s.one_line("user namespace: one line", "the kernel refuses BPF here: Operation not permitted "
               r"\(in a container or a user namespace capabilities may not count: run on the host\)",
               ["unshare", "-Ur", s.tcptrail, "conns", "-d", "1"])


FAULTS = [no_btf, capabilities, left_to_it, container, user_namespace]
