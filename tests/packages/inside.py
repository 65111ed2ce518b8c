#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package, used as its user would, inside of a scratch root that root.sh made.

    inside.py plain|systemd DEB

plain: no systemd runs; the service's own line is run as the unit would run it. systemd: this is
a oneshot service of a booted systemd. Prints "ok NAME" or "not ok NAME: why" and last "done".
"""
import base64
import os
import re
import shlex
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

UNIT = "/lib/systemd/system/tcptrail.service"
DEFAULTS = "/etc/default/tcptrail"
PORT, OTHER = 29293, 29400
WAIT_S = 60     # for something to happen at all; nothing asserts how soon
# What the unit gives: a user that nobody is, two capabilities, none to gain.
AS_UNIT = ["setpriv", "--reuid=64999", "--regid=64999", "--clear-groups", "--no-new-privs",
           "--inh-caps=-all,+bpf,+perfmon", "--ambient-caps=-all,+bpf,+perfmon",
           "--bounding-set=-all,+bpf,+perfmon"]


def check(name, fault):
    print(f"not ok {name}: {str(fault)[-600:]!r}" if fault else f"ok {name}", flush=True)


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=300,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def fault_of(*command):
    status, said = run(*command)
    return f"status {status}: {said}" if status else None


def get(port, path, wait_s=WAIT_S, host="http://127.0.0.1", **more):
    end = time.monotonic() + wait_s
    request = urllib.request.Request(f"{host}:{port}{path}", **more)
    unchecked = ssl._create_unverified_context()  # the certificate is our own
    while True:
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S, context=unchecked) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, str(e)
        except OSError as e:
            if time.monotonic() > end:
                return 0, str(e)
            time.sleep(0.1)


def scrape(name, port=PORT):
    status, text = get(port, "/metrics")
    states = re.findall(r"^tcptrail_\w+(?:\{[^}]*\})? [0-9.e+-]+$", text, re.M)
    check(f"{name}: /metrics", None if status == 200 and len(states) > 20 else (status, text))
    status, text = get(port, "/healthz")
    check(f"{name}: /healthz", None if status == 200 else (status, text))


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def confined(name, pid):
    """What the process is left with once it serves."""
    s = status_of(pid)
    faults = [k for k, bad in (("Uid", s["Uid"].split()[0] == "0"),
                               ("NoNewPrivs", s["NoNewPrivs"] != "1"),
                               ("Seccomp", s["Seccomp"] != "2"),
                               ("CapBnd", int(s["CapBnd"], 16) & ~(1 << 38 | 1 << 39)),
                               ("CapEff", int(s["CapEff"], 16) & ~(1 << 39))) if bad]
    check(f"{name}: no root, no capability, confined", [(k, s[k]) for k in faults])


def install(deb):
    run("dpkg", "-P", "tcptrail")  # the host may have it
    check("install", fault_of("dpkg", "-i", deb))
    check("what dpkg -V says", run("dpkg", "-V", "tcptrail")[1])
    status, said = run("/usr/sbin/tcptrail", "--version")
    runs = not status and re.fullmatch(r"tcptrail \S+\n", said)
    check("the program runs", None if runs else said)


def exec_line():
    """ExecStart= with the environment file, as systemd would split it."""
    with open(UNIT, encoding="utf-8") as f:
        line = re.search(r"^ExecStart=(.*)$", f.read(), re.M)[1]
    with open(DEFAULTS, encoding="utf-8") as f:
        options = re.search(r'^TCPTRAIL_OPTS="(.*)"$', f.read(), re.M)[1]
    return shlex.split(line.replace("$TCPTRAIL_OPTS", options))


def serve_as_unit(name, port):
    tracer = subprocess.Popen([*AS_UNIT, *exec_line()], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        scrape(name, port)
        if tracer.poll() is None:
            confined(name, tracer.pid)
    finally:
        tracer.terminate()
        said = tracer.communicate(timeout=WAIT_S)[1]
    check(f"{name}: ends with 0", None if tracer.returncode == 0 else (tracer.returncode, said))


def plain(deb):
    install(deb)
    check("the unit is valid", fault_of("systemd-analyze", "verify", UNIT))
    serve_as_unit("ExecStart", PORT)
    with open(DEFAULTS, encoding="utf-8") as f:
        text = f.read()
    with open(DEFAULTS, "w", encoding="utf-8") as f:
        f.write(text.replace('TCPTRAIL_OPTS=""',
                             f'TCPTRAIL_OPTS="--listen 127.0.0.1:{OTHER} state all"'))
    serve_as_unit("ExecStart with /etc/default/tcptrail changed", OTHER)
    check("remove", fault_of("dpkg", "-r", "tcptrail"))
    check("remove keeps the changed configuration, and the program is gone",
          None if os.path.exists(DEFAULTS) and not os.path.exists("/usr/sbin/tcptrail") else "no")
    check("purge", fault_of("dpkg", "-P", "tcptrail"))


def property_of(name):
    return run("systemctl", "show", "-P", name, "tcptrail.service")[1].strip()


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o600)


def for_others():
    """docs/serve.md's two blocks, as they stand there: TLS, a password, another address."""
    with open("/mnt/serve.md", encoding="utf-8") as f:
        text = f.read()
    put("/etc/systemd/system/tcptrail.service.d/override.conf",
        re.search(r"```ini\n(.*?)```", text, re.S)[1])
    put(DEFAULTS, re.search(r"```sh\n(.*?)```", text, re.S)[1])
    put("/etc/tcptrail/auth", "user:secret\n")
    fault = fault_of("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=10.0.0.1", "-keyout",
                     "/etc/tcptrail/key.pem", "-out", "/etc/tcptrail/cert.pem")
    for command in (("ip", "address", "add", "10.0.0.1/32", "dev", "lo"),
                    ("systemctl", "daemon-reload"), ("systemctl", "restart", "tcptrail")):
        fault = fault or fault_of(*command)
    check("the service for other hosts, as docs/serve.md has it", fault)
    known = {"Authorization": "Basic " + base64.b64encode(b"user:secret").decode()}
    said = [get(PORT, "/metrics", host="https://10.0.0.1", headers=h)[0] for h in (known, {})]
    check("... answers who knows the password, over TLS", None if said == [200, 401]
          else (said, run("systemctl", "status", "tcptrail")[1]))
    run("rm", "-r", "/etc/tcptrail", "/etc/systemd/system/tcptrail.service.d")
    run("systemctl", "daemon-reload")


def systemd(deb):
    install(deb)
    state = [run("systemctl", verb, "tcptrail")[1].strip() for verb in ("is-enabled", "is-active")]
    check("installed: not enabled, not started",
          None if state == ["disabled", "inactive"] else state)
    check("systemctl enable --now", fault_of("systemctl", "enable", "--now", "tcptrail"))
    scrape("the service")
    pid = property_of("MainPID")
    check("the service is active", None if property_of("ActiveState") == "active"
          else run("systemctl", "status", "tcptrail")[1])
    if pid != "0":
        confined("the service", pid)
    check("the same again", fault_of("dpkg", "-i", deb))
    scrape("the service after that")
    check("an upgrade restarts it", None if property_of("MainPID") not in ("0", pid) else pid)
    with open(DEFAULTS, "a", encoding="utf-8") as f:
        f.write(f'TCPTRAIL_OPTS="--textfile /var/lib/tcptrail/t.prom --listen {OTHER}"\n')
    check("restart", fault_of("systemctl", "restart", "tcptrail"))
    scrape("the service with other options", OTHER)
    end = time.monotonic() + WAIT_S
    while not os.path.exists("/var/lib/tcptrail/t.prom") and time.monotonic() < end:
        time.sleep(0.1)
    check("--textfile in the state directory", None if os.path.exists("/var/lib/tcptrail/t.prom")
          else run("systemctl", "status", "tcptrail")[1])
    for_others()
    pid = property_of("MainPID")
    check("remove", fault_of("dpkg", "-r", "tcptrail"))
    check("remove stops the service", None if not os.path.exists(f"/proc/{pid}") else pid)
    check("purge", fault_of("dpkg", "-P", "tcptrail"))
    gone = [p for p in ("/var/lib/tcptrail", "/var/lib/private/tcptrail", DEFAULTS, UNIT,
                        "/etc/systemd/system/multi-user.target.wants/tcptrail.service")
            if os.path.lexists(p)]
    check("purge leaves no state and no link", gone)


def main():
    mode, deb = sys.argv[1:]
    try:
        {"plain": plain, "systemd": systemd}[mode](deb)
    except Exception as e:  # pylint: disable=broad-except
        check(f"{mode}: the whole of it", repr(e))
    print("done", flush=True)


main()
