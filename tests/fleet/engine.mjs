// SPDX-License-Identifier: Apache-2.0
// An engine that npm's registry carries, asked line by line: a line of JSON in, {"said": ...} or
// {"error": text} out. Lies beside its node_modules when it runs (engines.py copies it there).
import fs from 'node:fs';
import readline from 'node:readline';

const make = {
	async duckdb() {
		const { DuckDBInstance } = await import('@duckdb/node-api');
		const db = await (await DuckDBInstance.create(':memory:')).connect();
		return async (sql) => (await db.runAndReadAll(sql)).getRowsJson();
	},
	async clickhouse() {
		const { Session } = (await import('chdb')).default;
		const data = fs.mkdtempSync('data-');
		process.on('exit', () => fs.rmSync(data, { recursive: true, force: true }));
		const db = new Session(data);
		return (sql) => db.query(sql, 'TabSeparated').split('\n').filter((line) => line)
			.map((line) => line.split('\t'));
	},
	// What Vector's remap transform does with an event; without one, what its compiler says.
	async vrl() {
		const { default: vrl } = await import('@bpinternal/verel');
		return ({ program, event }) =>
			event ? vrl.execute(program, event).event : vrl.check(program);
	},
	async podmonitor() {
		const { PodMonitor } = await import(
			'@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor');
		return (object) => { new PodMonitor(object).validate(); return true; };
	},
};

const text = (value) => (typeof value === 'bigint' ? String(value) : value);
const answer = (object) => console.log(JSON.stringify(object, (key, value) => text(value)));
const engine = await make[process.argv[2]]();
answer({ said: 'ready' });
for await (const line of readline.createInterface({ input: process.stdin })) {
	try {
		answer({ said: await engine(JSON.parse(line)) });
	} catch (e) {
		answer({ error: String(e).slice(0, 600) });
	}
}
