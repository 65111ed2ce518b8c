# SPDX-License-Identifier: Apache-2.0
"""The files of packaging/fleet/: each read by its own program where it is installed, by a real
YAML parser, and by what can be asked of it here: that every part it names is there, and that
the tcptrail of today takes the arguments that it gives."""
import datetime
import json
import os
import re
import shutil
import subprocess

import yaml

import engines
import harness
import recipes

FLEET = "packaging/fleet/"


def read(name):
    with open(harness.path(FLEET + name), encoding="utf-8") as f:
        return f.read()


def documents(name):
    return list(yaml.safe_load_all(read(name)))


def tool(name):
    here = harness.path("build/unpacked/usr/bin/" + name)
    return shutil.which(name) or (here if os.access(here, os.X_OK) else None)


def run(*args, **more):
    done = subprocess.run(args, capture_output=True, text=True, timeout=60, **more)
    if done.returncode:
        raise AssertionError((done.stdout + done.stderr)[-600:])
    return done.stdout


def own(t, program, name, *args):
    """A collector's own check of its configuration."""
    path = tool(program)
    if not path:
        t.skip(f"{name} in {program}", f"{program} is not in Debian 12 and not installed")
        return
    t.check(f"{name} in {program}", lambda: run(path, *args, harness.path(FLEET + name)))


# ---- Prometheus ------------------------------------------------------------------------------

def check_prometheus(t, folder):
    promtool = tool("promtool")
    if not promtool:
        t.skip("prometheus.yml and its rules in promtool", "promtool is not installed")
        return
    for source in (FLEET + "prometheus.yml", "dashboards/alerts.yml"):
        shutil.copy(harness.path(source), folder)
    ca, token = os.path.join(folder, "ca.pem"), os.path.join(folder, "token")
    for path in (ca, token):
        with open(path, "w", encoding="utf-8") as f:
            f.write("x\n")
    config = os.path.join(folder, "prometheus.yml")
    with open(config, encoding="utf-8") as f:  # it wants to see the files that it names
        text = f.read().replace("/etc/prometheus/tcptrail-ca.pem", ca)
    with open(config, "w", encoding="utf-8") as f:
        f.write(text.replace("/etc/prometheus/tcptrail.token", token))
    t.check("prometheus.yml and its rules in promtool",
            lambda: harness.Tally.true("SUCCESS" in run(promtool, "check", "config", config), ""))


# ---- Kubernetes ------------------------------------------------------------------------------

CONFINED = {"runAsUser": 0, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON"]},
            "seccompProfile": {"type": "RuntimeDefault"}}


def typed(value, kind, models, at):
    """Is this what the Kubernetes API's own model says? Strict: no unknown member."""
    inner = re.fullmatch(r"list\[(.+)\]", kind)
    if inner:
        for i, v in enumerate(value):
            typed(v, inner[1], models, f"{at}[{i}]")
        return
    if kind.startswith("dict("):
        return
    model = getattr(models, kind, None)
    if not model:
        wanted = {"str": str, "int": int, "bool": bool, "float": float}.get(kind, object)
        if not isinstance(value, wanted):
            raise AssertionError(f"{at}: {value!r} is no {kind}")
        return
    names = {v: k for k, v in model.attribute_map.items()}
    for key, v in value.items():
        if key not in names:
            raise AssertionError(f"{at}.{key}: {kind} has no such member")
        typed(v, model.openapi_types[names[key]], models, f"{at}.{key}")


MODELS = {"Namespace": "V1Namespace", "ServiceAccount": "V1ServiceAccount",
          "DaemonSet": "V1DaemonSet"}


def check_models(docs):
    import kubernetes.client.models as models
    for doc in docs:
        if doc["kind"] in MODELS:
            typed(doc, MODELS[doc["kind"]], models, doc["kind"])


def check_pod(docs):
    by = {d["kind"]: d for d in docs}
    harness.Tally.equal(sorted(by), ["DaemonSet", "Namespace", "PodMonitor", "ServiceAccount"])
    pod = by["DaemonSet"]["spec"]["template"]["spec"]
    volumes = {v["name"] for v in pod["volumes"]}
    for c in pod["containers"]:
        harness.Tally.equal(c["securityContext"], CONFINED)
        for mount in c["volumeMounts"]:
            harness.Tally.true(mount["name"] in volumes and mount["readOnly"], f"{mount}")
    labels = by["DaemonSet"]["spec"]["template"]["metadata"]["labels"]
    for match in (by["DaemonSet"]["spec"]["selector"], by["PodMonitor"]["spec"]["selector"]):
        harness.Tally.equal(match["matchLabels"], labels)
    ports = {p["name"] for c in pod["containers"] for p in c.get("ports", ())}
    for endpoint in by["PodMonitor"]["spec"]["podMetricsEndpoints"]:
        harness.Tally.true(endpoint["port"] in ports, f"no port {endpoint['port']}")
    harness.Tally.equal(pod["automountServiceAccountToken"], False)


def taken(tcptrail, args):
    """The program knows these options (nothing is traced: --help ends it)."""
    said = run(tcptrail, *args, "--help")
    harness.Tally.true(f"Usage: tcptrail {args[0]} " in said, said[:200])


# ---- collectors ------------------------------------------------------------------------------

# What was seen with the collectors themselves (docs/fleet.md), and must not come back.

def check_vector(text):
    c = yaml.safe_load(text)
    for label in c["sinks"]["loki"]["labels"].values():
        harness.Tally.true(not label.startswith("{{"), f"Vector 0.57 refuses {label!r}")
    for name, sink in c["sinks"].items():
        harness.Tally.equal((name, sink["buffer"]["type"]), (name, "disk"))
    parts = set(c["sources"]) | set(c["transforms"])
    for name, part in {**c["transforms"], **c["sinks"]}.items():
        for source in part["inputs"]:
            harness.Tally.true(source in parts, f"{name}: no input {source}")
    # It keeps as text what flatten.jq keeps, and what the schema says.
    jq = re.findall(r'"((?:tcp|tracer)_\w+)"', read("flatten.jq"))
    vrl = re.findall(r"^\s*if is_\w+\(\.(\w+)\.(\w+)\)", c["transforms"]["rows"]["source"], re.M)
    harness.Tally.equal(sorted("_".join(v) for v in vrl), sorted(jq))


def same_value(got, want):
    """Lists of objects and free names are JSON text, with their members in any order."""
    if isinstance(want, str) and want[:1] in "[{":
        return json.loads(got) == json.loads(want)
    return got == want


def check_vrl(t, engine, ground):
    """The two programs in Vector's own compiler and interpreter, on every record."""
    transforms = yaml.safe_load(read("vector.yaml"))["transforms"]

    def put_through():
        rows = recipes.flatten(ground.path)
        for record, row in zip(ground.records, rows, strict=True):
            event = {"message": json.dumps(record), "host": "host-1", "source_type": "file"}
            whole = engine.ask({"program": transforms["records"]["source"], "event": event})
            harness.Tally.equal(whole, dict(record, host={"name": "host-1"},
                                            timestamp=whole["timestamp"]))
            harness.Tally.equal(*(datetime.datetime.fromisoformat(x) for x in (
                whole["timestamp"], record["@timestamp"])))
            flat = engine.ask({"program": transforms["rows"]["source"], "event": whole})
            harness.Tally.equal(sorted(flat), sorted({*row, "host_name"}))
            for name, want in dict(row, host_name="host-1").items():
                harness.Tally.true(same_value(flat[name], want), f"{name}: {flat[name]!r}")
    for name, part in transforms.items():
        t.check(f"vector.yaml: VRL's compiler ({engine.version}) has nothing to say of {name}",
                lambda p=part: harness.Tally.equal(engine.ask({"program": p["source"]}),
                                                   {"errors": [], "warnings": []}))
    t.check("... and every record comes out whole, and as the row that flatten.jq makes",
            put_through)
    t.check("... and a line that is no record is an error, which drop_on_error drops",
            lambda: refused(lambda: engine.ask({"program": transforms["records"]["source"],
                                                "event": {"message": "{", "host": "h"}})))


def refused(work):
    try:
        work()
    except AssertionError:
        return
    raise AssertionError("it was taken")


def check_podmonitor(t, engine, doc):
    t.check(f"the PodMonitor in its own definition ({engine.version})",
            lambda: engine.ask(doc))
    endpoint, = doc["spec"]["podMetricsEndpoints"]
    for wrong in ({"scheme": "ftp"}, {"port": 29293}, {"relabelings": {}}, {"interval": 60}):
        broken = dict(doc, spec=dict(doc["spec"], podMetricsEndpoints=[dict(endpoint, **wrong)]))
        t.check(f"... and one with {wrong} is refused",
                lambda b=broken: refused(lambda: engine.ask(b)))


def check_otel(text):
    c = yaml.safe_load(text)
    for part in [c["exporters"][e]["sending_queue"] for e in c["exporters"]] + \
            list(c["receivers"].values()):
        harness.Tally.true(part["storage"] in c["service"]["extensions"], f"{part}: in memory")
    for name, exporter in c["exporters"].items():
        harness.Tally.equal((name, exporter["retry_on_failure"]["max_elapsed_time"]), (name, 0))
    for name in c["service"]["extensions"]:
        harness.Tally.true(name in c["extensions"], f"no extension {name}")
    for name, pipeline in c["service"]["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            for part in pipeline[kind]:
                harness.Tally.true(part in c[kind], f"{name}: no {kind} {part}")


def check_fluent(text):
    c = yaml.safe_load(text)
    tags = {i["tag"] for i in c["pipeline"]["inputs"]}
    for part in c["pipeline"]["filters"] + c["pipeline"]["outputs"]:
        harness.Tally.true(part["match"] in tags, f"{part['name']}: no tag {part['match']}")
    for out in c["pipeline"]["outputs"]:
        harness.Tally.equal((out["name"], out.get("retry_limit")), (out["name"], "no_limits"))
        harness.Tally.true("=$" not in out.get("labels", "").replace("${", ""),
                           "a field that is made a label leaves the line")
    parsers = re.findall(r"^\s*Name\s+(\w+)", read("fluent-bit-parsers.conf"), re.M)
    for i in c["pipeline"]["inputs"]:
        harness.Tally.true(i["parser"] in parsers, f"no parser {i['parser']}")


def followed():
    """Every collector reads the file that the unit writes, which logrotate turns."""
    path = re.search(r"^StandardOutput=append:(.*)$", read("tcptrail-records.service"), re.M)[1]
    for name in ("vector.yaml", "fluent-bit.yaml", "otel-collector.yaml",
                 "tcptrail-records.logrotate"):
        harness.Tally.true(path in read(name), f"{name}: not {path}")


def check_unit(folder, tcptrail):
    text = read("tcptrail-records.service").replace("/usr/sbin/tcptrail", tcptrail)
    path = os.path.join(folder, "tcptrail-records.service")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("Documentation=man:tcptrail(8)\n", ""))
    run("systemd-analyze", "verify", "--man=no", path)


def check(t, ground):
    check_prometheus(t, ground.folder)
    own(t, "vector", "vector.yaml", "validate", "--no-environment")
    own(t, "fluent-bit", "fluent-bit.yaml", "--dry-run", "-c")
    own(t, "otelcol-contrib", "otel-collector.yaml", "validate", "--config")
    t.check("vector.yaml: its parts are there, its rows as flatten.jq's",
            lambda: check_vector(read("vector.yaml")))
    engines.use(t, "vector.yaml in VRL", "vrl", lambda engine: check_vrl(t, engine, ground))
    t.check("fluent-bit.yaml: its parts are there", lambda: check_fluent(read("fluent-bit.yaml")))
    t.check("otel-collector.yaml: its parts are there",
            lambda: check_otel(read("otel-collector.yaml")))
    t.check("all follow the file that the unit writes", followed)
    docs = documents("kubernetes.yaml")
    t.check("kubernetes.yaml: BPF and PERFMON alone, nothing writable, its parts are there",
            lambda: check_pod(docs))
    try:
        import kubernetes.client  # noqa: F401
        t.check("kubernetes.yaml in the Kubernetes API's own models", lambda: check_models(docs))
    except ImportError:
        t.skip("kubernetes.yaml in the Kubernetes API's own models",
               "python3-kubernetes is not installed")
    engines.use(t, "the PodMonitor in its own definition", "podmonitor", lambda engine:
                check_podmonitor(t, engine, next(d for d in docs if d["kind"] == "PodMonitor")))
    for c in docs[2]["spec"]["template"]["spec"]["containers"]:
        t.check(f"kubernetes.yaml: tcptrail takes {' '.join(c['args'])}",
                lambda c=c: taken(ground.tcptrail, c["args"]))
    words = re.findall(r'TCPTRAIL_RECORDS=([^"\n]+)"?$',
                       read("tcptrail-records.service") + read("otel-collector.yaml"), re.M)
    t.check("the unit's commands, as they stand and as they are proposed", lambda: (
        harness.Tally.equal(len(words), 3), [taken(ground.tcptrail, w.split()) for w in words]))
    if shutil.which("systemd-analyze"):
        t.check("tcptrail-records.service in systemd-analyze verify",
                lambda: check_unit(ground.folder, ground.tcptrail))
    else:
        t.skip("tcptrail-records.service", "systemd-analyze is not installed")
