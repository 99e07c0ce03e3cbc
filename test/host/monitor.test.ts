import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { attachMonitored, dropParkedInput, type Attachment } from '../../src/host/monitor-attach.ts';
import { MonitorExits } from '../../src/host/monitor-exit.ts';
import { monitorLogFiles, prepareMonitorLog, rotateMonitorLog } from '../../src/host/monitor-log.ts';
import { monitorIdentity, startMonitor, type StartedMonitor } from '../../src/host/monitor.ts';
import { isAlive, signalProcess } from '../../src/host/process.ts';
import { patient } from '../lib/patience.ts';
import { until } from '../lib/until.ts';

const BOUNDS = { maxBytes: 64 * 1024, maxFiles: 3 };

/** A stand-in runtime: leaves `sh -c SCRIPT` behind as the first process. */
const PROGRAM = `#!/bin/busybox sh
script=$1; shift
while [ $# -gt 1 ]; do [ "$1" = --pid-file ] && pid=$2; shift; done
[ "$script" = FAIL ] && { echo "this is why" >&2; exit 3; }
exec 3<&0
/bin/busybox sh -c "$script" <&3 &
echo $! >"$pid"
`;

interface Bench {
  readonly dir: string;
  readonly logDir: string;
  readonly exits: MonitorExits;
  start(id: string, script: string, stdin?: boolean): Promise<StartedMonitor & { dir: string }>;
}

async function bench(work: (bench: Bench) => Promise<void>): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-monitor-'));
  const program = path.join(dir, 'program');
  fs.writeFileSync(program, PROGRAM, { mode: 0o700 });
  const exits = new MonitorExits(path.join(dir, 'exits'));
  const logDir = path.join(dir, 'log');
  const started: StartedMonitor[] = [];
  try {
    await work({
      dir, logDir, exits,
      async start(id, script, stdin = false) {
        const unit = path.join(dir, id);
        fs.mkdirSync(unit, { mode: 0o700 });
        fs.writeFileSync(path.join(unit, 'config.json'), '{}');
        const log = prepareMonitorLog(logDir, BOUNDS);
        const monitor = await startMonitor(
          { conmon: '/usr/bin/conmon', id, dir: unit, program, programArgs: [script], exitDir: exits.dir, ...log, terminal: false, stdin },
          { timeoutMs: 10_000 },
        );
        started.push(monitor);
        return { ...monitor, dir: unit };
      },
    });
  } finally {
    for (const { process, monitor } of started) {
      signalProcess(process, 'SIGKILL');
      signalProcess(monitor, 'SIGKILL');
    }
    exits[Symbol.dispose]();
    fs.rmSync(dir, { recursive: true });
  }
}

async function collect(attachment: Attachment): Promise<{ stdout: string; stderr: string }> {
  const seen = { stdout: '', stderr: '' };
  for await (const chunk of attachment.output) seen[chunk.stream] += chunk.data.toString();
  return seen;
}

test('the exit code is recorded and every line is in the log', () => bench(async ({ start, exits, logDir }) => {
  const unit = await start('one', 'read go; echo out; echo err >&2; exit 7', true);
  const attachment = attachMonitored(unit.dir, { keepInput: false });
  await attachment.write(Buffer.from('go\n'));
  const exit = await exits.wait('one', AbortSignal.timeout(patient(5000)));
  assert.equal(exit.exitCode, 7);
  assert.ok(Math.abs(exit.finishedAtMs - Date.now()) < 60_000);
  await until(() => !isAlive(unit.monitor));
  attachment.close();
  const lines = monitorLogFiles(logDir).map((file) => fs.readFileSync(file, 'utf8')).join('').trim().split('\n');
  for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00 /);
  assert.deepEqual(lines.map((line) => line.replace(/^\S+ /, '')).sort(), ['stderr F err', 'stdout F out']);
}));

test('a program that fails is reported in its own words', () => bench(async ({ start }) => {
  await assert.rejects(start('bad', 'FAIL'), /this is why/);
}));

test('attach: both streams apart, input, end of input', () => bench(async ({ start, exits }) => {
  const unit = await start('talk', 'read first; echo "got $first"; echo oops >&2; cat; exit 5', true);
  const attachment = attachMonitored(unit.dir, { keepInput: true });
  const seen = collect(attachment);
  await attachment.write(Buffer.from('hello\n'));
  const big = 'x'.repeat(100_000);
  await attachment.write(Buffer.from(big));
  await attachment.endInput();
  assert.deepEqual(await seen, { stdout: `got hello\n${big}`, stderr: 'oops\n' });
  assert.equal((await exits.wait('talk', AbortSignal.timeout(patient(5000)))).exitCode, 5);
}));

test('a client that lets go leaves the input open for the next', () => bench(async ({ start, exits }) => {
  const unit = await start('park', 'read a; read b; echo "$a $b"; exit 3', true);
  const first = attachMonitored(unit.dir, { keepInput: true });
  await first.write(Buffer.from('one\n'));
  first.close();
  const second = attachMonitored(unit.dir, { keepInput: true });
  const seen = collect(second);
  await second.write(Buffer.from('two\n'));
  assert.equal((await seen).stdout, 'one two\n');
  assert.equal((await exits.wait('park', AbortSignal.timeout(patient(5000)))).exitCode, 3);
  dropParkedInput(unit.dir);
}));

test('output written just before the end arrives though input was never read', () => bench(async ({ start }) => {
  const unit = await start('reset', 'read go; echo last words; exit 0', true);
  const attachment = attachMonitored(unit.dir, { keepInput: true });
  const seen = collect(attachment);
  await attachment.write(Buffer.from('go\n'));
  await attachment.write(Buffer.from('never read\n'.repeat(20_000))).catch(() => undefined);
  assert.equal((await seen).stdout, 'last words\n');
}));

test('a flood without a daemon and a line without end stay below files × bytes', () => bench(async ({ start, exits, logDir }) => {
  const total = (): number => fs.readdirSync(logDir).reduce((sum, name) => sum + fs.statSync(path.join(logDir, name)).size, 0);
  await start('flood', 'head -c 3000000 /dev/zero | tr "\\0" A | fold -w 900; echo; head -c 3000000 /dev/zero | tr "\\0" B; echo; echo the end');
  await exits.wait('flood', AbortSignal.timeout(patient(20_000)));
  assert.ok(total() <= BOUNDS.maxBytes * BOUNDS.maxFiles, `${total()} bytes`);
  const text = monitorLogFiles(logDir).map((file) => fs.readFileSync(file, 'utf8')).join('');
  assert.match(text, /F the end\n$/);
  for (const line of text.trim().split('\n')) assert.match(line, /^\S+ (stdout|stderr) [PF] [AB]*(the end)?$/);
}));

test('rotation keeps what conmon would have thrown away', () => bench(async ({ start, exits, logDir }) => {
  await start('slow', 'i=0; while read go; do for j in 1 2 3 4 5; do echo "$i $(head -c 8000 /dev/zero | tr "\\0" A)"; i=$((i+1)); done; done', true);
  const attachment = attachMonitored(path.join(path.dirname(logDir), 'slow'), { keepInput: false });
  const seen = collect(attachment);
  let lines = 0;
  const numbers = (): number[] => monitorLogFiles(logDir).flatMap((file) => fs.readFileSync(file, 'utf8').split('\n'))
    .flatMap((line) => { const n = / F (\d+) A/.exec(line) ?? / P (\d+) A/.exec(line); return n === null ? [] : [Number(n[1])]; });
  for (let round = 0; round < 12; round++) {
    await attachment.write(Buffer.from('go\n'));
    lines += 5;
    await until(() => numbers().at(-1) === lines - 1);
    rotateMonitorLog(logDir, BOUNDS);
    const kept = numbers();
    assert.deepEqual(kept, Array.from({ length: kept.length }, (_, i) => lines - kept.length + i), 'no gap');
    assert.ok(kept.length >= Math.min(lines, 7), `${kept.length} lines kept`);
  }
  await attachment.endInput();
  await seen;
  await exits.wait('slow', AbortSignal.timeout(patient(5000)));
}));

test('a reused pid is not taken for the monitor', () => bench(async ({ start, dir }) => {
  const unit = await start('id', 'sleep 60');
  assert.deepEqual(monitorIdentity(unit.dir), unit.monitor);
  const other = path.join(dir, 'other');
  fs.mkdirSync(other);
  fs.copyFileSync(path.join(unit.dir, 'monitor.pid'), path.join(other, 'monitor.pid'));
  assert.equal(monitorIdentity(other), undefined);
}));
