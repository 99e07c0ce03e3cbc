/** The keeper of the daemon on hosts without systemd (native/keep.c). */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { startInBackground } from '../../src/host/background.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';
import { identify, isAlive, signalProcess, type ProcessIdentity } from '../../src/host/process.ts';
import { until } from '../lib/until.ts';

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-keep-'));
const started: ProcessIdentity[] = [];
after(() => {
  for (const one of started) signalProcess(one, 'SIGKILL');
  fs.rmSync(temporary, { recursive: true });
});

const SMALLEST = 65_536;

async function keep(name: string, script: string, maxBytes = 1024 * 1024): Promise<{ log: string; keeper: ProcessIdentity }> {
  const log = path.join(temporary, `${name}.log`);
  const keeper = identify(await startInBackground(NATIVE_PROGRAM, ['keep', log, String(maxBytes), '--', '/bin/sh', '-c', script, name, temporary]))!;
  started.push(keeper);
  return { log, keeper };
}

const read = (file: string): string => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '');

async function pidFrom(log: string, pattern: RegExp): Promise<ProcessIdentity> {
  const match = await until(() => pattern.exec(read(log)), { what: `${pattern} in ${log}` });
  const identity = await until(() => identify(Number(match[1])), { what: 'the program' });
  started.push(identity);
  return identity;
}

test('a program that is killed is started again, and one that was told to end is not', async () => {
  const { log, keeper } = await keep('again', 'echo "pid $$ life"; exec sleep 1000');
  const first = await pidFrom(log, /pid (\d+) life/);
  signalProcess(first, 'SIGKILL');
  const second = await pidFrom(log, /signal 9 and is started again\npid (\d+) life/);
  signalProcess(keeper, 'SIGTERM');
  await until(() => !isAlive(keeper) && !isAlive(second), { what: 'both to end' });
  assert.equal(read(log).match(/life/g)!.length, 2);
});

test('the log is bounded and keeps the newest lines', async () => {
  const { log, keeper } = await keep('flood', 'i=0; while [ $i -lt 4000 ]; do echo "line $i ........................................................"; i=$((i+1)); done; echo END; exec sleep 1000', SMALLEST);
  await until(() => read(log).includes('END'), { what: 'the last line' });
  assert.ok(fs.statSync(log).size <= SMALLEST && fs.statSync(`${log}.1`).size <= SMALLEST);
  assert.deepEqual(fs.readdirSync(temporary).filter((file) => file.startsWith('flood')).sort(), ['flood.log', 'flood.log.1']);
  signalProcess(keeper, 'SIGTERM');
  await until(() => !isAlive(keeper), { what: 'the keeper to end' });
});

test('a child that inherited the output does not hide that the program ended', async () => {
  const { log, keeper } = await keep('inherit', 'if [ ! -e "$1/once" ]; then : >"$1/once"; sleep 1000 & echo "pid $! left"; exit 3; fi; echo SECOND; exec sleep 1000');
  await pidFrom(log, /pid (\d+) left/);
  await until(() => /ended with 3 and is started again\nSECOND/.test(read(log)), { what: 'the second life' });
  signalProcess(keeper, 'SIGTERM');
  await until(() => !isAlive(keeper), { what: 'the keeper to end' });
});
