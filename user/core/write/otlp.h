/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record of ours as OTLP: the same facts in OpenTelemetry's wire form for logs, so that
 * its Collector reads a file of them without a word of configuration.
 */
#ifndef TCPTRAIL_OTLP_H
#define TCPTRAIL_OTLP_H

#include "buf.h"

/* Appends to out one ExportLogsServiceRequest in OTLP's JSON form and a newline, made of one
 * record (a JSON object; what follows it is ignored). 0; -EBADMSG when it is no record of ours
 * (what was appended is then to be thrown away); memory that ran out is in out->failed.
 * Fields: opentelemetry-proto logs/v1/logs.proto and common/v1/common.proto; the JSON form is
 * OTLP's specification, "JSON Protobuf Encoding": lowerCamelCase, 64-bit integers as strings. */
int otlp_from_json(struct buf *out, const char *json, size_t len);

#endif
