# SPDX-License-Identifier: Apache-2.0
"""`-o otlp-json`, held against the proto twice, and put through the Collector's own reader.

Debian 12 has no package of OTLP's own .proto files, so the first two start from FIELDS below:
the fields of opentelemetry-proto 1.5 (logs/v1/logs.proto, common/v1/common.proto,
resource/v1/resource.proto, collector/logs/v1/logs_service.proto) with their numbers and
types, written from that list. From it a JSON Schema is made, as strict as OTLP's JSON
encoding is (lowerCamelCase, no other member, 64-bit integers as strings); and descriptors,
with which protobuf's own JSON parser reads every line where python3-protobuf is installed.
"""
import json

import jsonschema

import harness
import pdata

FIELDS = {  # message: {field: (number, type, repeated)}
    "ExportLogsServiceRequest": {"resource_logs": (1, "ResourceLogs", True)},
    "ResourceLogs": {"resource": (1, "Resource", False), "scope_logs": (2, "ScopeLogs", True),
                     "schema_url": (3, "string", False)},
    "Resource": {"attributes": (1, "KeyValue", True),
                 "dropped_attributes_count": (2, "uint32", False)},
    "ScopeLogs": {"scope": (1, "InstrumentationScope", False),
                  "log_records": (2, "LogRecord", True), "schema_url": (3, "string", False)},
    "InstrumentationScope": {"name": (1, "string", False), "version": (2, "string", False),
                             "attributes": (3, "KeyValue", True),
                             "dropped_attributes_count": (4, "uint32", False)},
    "LogRecord": {"time_unix_nano": (1, "fixed64", False),
                  "observed_time_unix_nano": (11, "fixed64", False),
                  "severity_number": (2, "severity", False),
                  "severity_text": (3, "string", False), "body": (5, "AnyValue", False),
                  "attributes": (6, "KeyValue", True),
                  "dropped_attributes_count": (7, "uint32", False),
                  "flags": (8, "fixed32", False), "trace_id": (9, "bytes", False),
                  "span_id": (10, "bytes", False), "event_name": (12, "string", False)},
    "KeyValue": {"key": (1, "string", False), "value": (2, "AnyValue", False)},
    "AnyValue": {"string_value": (1, "string", False), "bool_value": (2, "bool", False),
                 "int_value": (3, "int64", False), "double_value": (4, "double", False),
                 "array_value": (5, "ArrayValue", False),
                 "kvlist_value": (6, "KeyValueList", False), "bytes_value": (7, "bytes", False)},
    "ArrayValue": {"values": (1, "AnyValue", True)},
    "KeyValueList": {"values": (1, "KeyValue", True)},
}
ONE_OF = "AnyValue"  # exactly one of its fields
SCALARS = {
    "string": {"type": "string"}, "bool": {"type": "boolean"}, "double": {"type": "number"},
    "int64": {"type": "string", "pattern": "^-?[0-9]{1,19}$"},
    "fixed64": {"type": "string", "pattern": "^[0-9]{1,20}$"},
    "uint32": {"type": "integer", "minimum": 0}, "fixed32": {"type": "integer", "minimum": 0},
    "severity": {"type": "integer", "minimum": 1, "maximum": 24},
    "bytes": {"type": "string", "pattern": "^([0-9a-fA-F]{2})*$"},  # ids are hex in OTLP's JSON
}
COMMANDS = (["conns", "--open"], ["events"], ["watch"], ["timeline"], ["states"],
            ["listeners"], ["stuck", "--min-age", "0"], ["stuck", "--list", "--min-age", "0"])
SEVERITY = {"info": (9, "INFO"), "warning": (13, "WARN"), "critical": (17, "ERROR")}


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(p.capitalize() for p in rest)


def json_schema():
    defs = {}
    for message, fields in FIELDS.items():
        node = {"type": "object", "additionalProperties": False, "properties": {}}
        for name, (_, kind, repeated) in fields.items():
            one = SCALARS.get(kind, {"$ref": f"#/$defs/{kind}"})
            node["properties"][camel(name)] = {"type": "array", "items": one} if repeated else one
        if message == ONE_OF:
            node["minProperties"] = node["maxProperties"] = 1
        defs[message] = node
    return {"$defs": defs, "$ref": "#/$defs/ExportLogsServiceRequest"}


def parser():
    """protobuf's own JSON parser for ExportLogsServiceRequest, or None."""
    try:
        from google.protobuf import (descriptor_pb2, descriptor_pool, json_format,
                                     message_factory)
    except ImportError:
        return None
    kinds = descriptor_pb2.FieldDescriptorProto
    scalar = {"severity": kinds.TYPE_INT32} | {
        k: getattr(kinds, f"TYPE_{k.upper()}") for k in SCALARS if k != "severity"}
    file = descriptor_pb2.FileDescriptorProto(name="otlp.proto", package="otlp", syntax="proto3")
    for message, fields in FIELDS.items():
        m = file.message_type.add(name=message)
        if message == ONE_OF:
            m.oneof_decl.add(name="value")
        for name, (number, kind, repeated) in fields.items():
            f = m.field.add(name=name, number=number, json_name=camel(name),
                            label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL)
            if kind in scalar:
                f.type = scalar[kind]
            else:
                f.type, f.type_name = kinds.TYPE_MESSAGE, f".otlp.{kind}"
            if message == ONE_OF:
                f.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind = pool.FindMessageTypeByName("otlp.ExportLogsServiceRequest")
    make = getattr(message_factory, "GetMessageClass", None) or \
        message_factory.MessageFactory(pool).GetPrototype
    return lambda line: json_format.Parse(line, make(kind)())


def flat(record, at=""):
    """The attributes that a record must become."""
    for key, value in record.items():
        name = f"{at}.{key}" if at else key
        if isinstance(value, dict):
            yield from flat(value, name)
        elif name != "@timestamp":
            yield name, value


def plain(value):
    """An AnyValue as what it stands for."""
    (kind, x), = value.items()
    if kind == "intValue":
        return int(x)
    if kind == "arrayValue":
        return [plain(v) for v in x["values"]]
    if kind == "kvlistValue":
        return {kv["key"]: plain(kv["value"]) for kv in x["values"]}
    return x


def unix_ns(time):
    """Of RFC 3339 in UTC with microseconds, exactly."""
    import calendar
    import datetime
    t = datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ")
    return str(calendar.timegm(t.timetuple()) * 10 ** 9 + t.microsecond * 1000)


def same(record, line):
    log, = line["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    got = [(a["key"], plain(a["value"])) for a in log["attributes"]]
    harness.Tally.equal(got, list(flat(record)))
    harness.Tally.equal(log["timeUnixNano"], unix_ns(record["@timestamp"]))
    harness.Tally.equal(log["eventName"], record["event"]["name"])
    finding = record.get("tcp", {}).get("finding", {})
    harness.Tally.equal((log["severityNumber"], log["severityText"]),
                        SEVERITY[finding.get("severity", "info")])
    harness.Tally.equal(log["body"]["stringValue"],
                        finding.get("explanation", record["event"]["name"]))


def check_lines(lines, records, validator, parse):
    harness.Tally.equal(len(lines), len(records))
    for text, record in zip(lines, records):
        line = json.loads(text)
        for error in validator.iter_errors(line):
            raise AssertionError(f"{error.message} in {text[:300]}")
        if parse:
            parse(text)
        same(record, line)


def both(tcptrail, args):
    records = [json.loads(x) for x in harness.run(tcptrail, *args, "-o", "json").splitlines()]
    return harness.run(tcptrail, *args, "-o", "otlp-json").decode().splitlines(), records


def check(t, ground):
    validator, parse = jsonschema.Draft202012Validator(json_schema()), parser()
    if not parse:
        t.skip("otlp-json in protobuf's own parser", "python3-protobuf is not installed")
    captures = ["timeline", "--packets"]
    for command in COMMANDS + (captures,):
        files = [harness.path("tests/captures/textbook-loopback.pcap")] if command == captures \
            else harness.recordings()

        def every(command=command, files=files):
            told = 0
            for file in files:
                lines, records = both(ground.tcptrail, command + ["--from", file])
                check_lines(lines, records, validator, parse)
                told += len(records)
            harness.Tally.true(told, "no record")
        t.check(f"otlp-json of {' '.join(command)}: as the proto has it, and the same facts", every)

    def every_line():
        return [line for file in harness.recordings() for command in COMMANDS
                for line in harness.run(ground.tcptrail, *command, "-o", "otlp-json", "--from",
                                        file).decode().splitlines()]
    pdata.check(t, ground.fetch, every_line)

    def damaged():
        line = json.loads(both(ground.tcptrail, ["conns", "--from", harness.recordings()[0]])[0][0])
        log = line["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
        for wrong in ({"timeUnixNano": 1}, {"time_unix_nano": "1"}, {"severityNumber": 0},
                      {"body": {"stringValue": "a", "intValue": "1"}}, {"traceId": "xyz"}):
            broken = json.loads(json.dumps(line))
            broken["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0] = {**log, **wrong}
            harness.Tally.true(not validator.is_valid(broken), f"{wrong} is taken")
    t.check("... and what the proto has not is refused", damaged)
