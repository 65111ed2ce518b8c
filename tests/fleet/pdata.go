// SPDX-License-Identifier: Apache-2.0

// A line of OTLP's JSON in, the same out: through the OpenTelemetry Collector's own reader, as its
// otlpjsonfile receiver calls it, and its own writer. Ends with 1 at what the reader refuses.
package main

import (
	"bufio"
	"fmt"
	"os"

	"go.opentelemetry.io/collector/pdata/plog"
)

func fail(line int, err error) {
	fmt.Fprintf(os.Stderr, "line %d: %v\n", line, err)
	os.Exit(1)
}

func main() {
	reader, writer := plog.JSONUnmarshaler{}, plog.JSONMarshaler{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20) // max_log_size's default
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for n := 1; lines.Scan(); n++ {
		logs, err := reader.UnmarshalLogs(lines.Bytes())
		if err != nil {
			fail(n, err)
		}
		if logs.LogRecordCount() != 1 {
			fail(n, fmt.Errorf("%d records", logs.LogRecordCount()))
		}
		text, err := writer.MarshalLogs(logs)
		if err != nil {
			fail(n, err)
		}
		fmt.Fprintf(out, "%s\n", text)
	}
	if err := lines.Err(); err != nil {
		fail(-1, err)
	}
}
