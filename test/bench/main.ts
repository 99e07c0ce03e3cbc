/**
 * What users wait for, beside floors measured in the same run: the command line, the API, many at once, memory, microVMs.
 * Prints a line of JSON for each figure and a table at the end.
 *   npm run bench [-- GROUP…]     groups: cli api exec many list memory vm containers machines
 *   ROUNDS=30 MANY=100 SCALE=300 npm run bench     containers, machines: SYSTEMS=60 MACHINES=10 SLOPE=10, PEERS_ENTER, PEERS_PID (peers/peer-place.ts)
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { median } from '../../src/lib/statistics.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { openQemuBench } from '../lib/qemu-bench.ts';
import { Figures, times } from './figures.ts';
import { bootBareMachine } from './floors/bare-machine.ts';
import { measureContainers, measureMachines } from './forms/measure-forms.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 20);
const MANY = Number(process.env['MANY'] ?? 100);
const SCALE = Number(process.env['SCALE'] ?? 300);
const PARALLEL = 8;
const I = '/v1/projects/default/instances';
const HOME = path.resolve(import.meta.dirname, '../..');
const ALL = ['cli', 'api', 'exec', 'many', 'list', 'memory', 'vm', 'containers', 'machines'];
const groups = new Set(process.argv.length > 2 ? process.argv.slice(2) : ALL);

const figures = new Figures();
const tell = figures.tell.bind(figures);

await using daemon = await TestDaemon.start({ vms: groups.has('vm') || groups.has('machines'), env: { BERTH_WARM_START: 'off' } });
await daemon.bootstrapBusybox();
const agent = new http.Agent({ keepAlive: true, maxSockets: PARALLEL });

/** One connection kept, as a client of the API does. */
function call(method: string, url: string, body?: unknown): Promise<any> { // eslint-disable-line -- answers of every shape
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const request = http.request({ agent, socketPath: daemon.socketPath, method, path: url, headers: text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } }, (response) => {
      let answer = '';
      response.setEncoding('utf8').on('data', (part: string) => { answer += part; });
      response.on('end', () => (response.statusCode! < 300 ? resolve(answer === '' ? undefined : JSON.parse(answer)) : reject(new Error(answer))));
    });
    request.on('error', reject).end(text);
  });
}

function berth(...args: string[]): void {
  const result = spawnSync(path.join(HOME, 'berth'), args, { stdio: 'ignore', env: { PATH: process.env['PATH'] ?? '', BERTH_HOST: `unix:${daemon.socketPath}` } });
  if (result.status !== 0) throw new Error(`berth ${args.join(' ')} ended with ${result.status}`);
}

const fork = { name: 'fork + exec true', value: await times(ROUNDS, () => spawnSync('/bin/true')) };
tell('floor: fork + exec true', fork.value, 'ms');
const client = { name: 'empty Bun', value: await times(ROUNDS, () => spawnSync(path.join(HOME, 'node_modules/@oven/bun-linux-x64/bin/bun'), ['--no-env-file', '-e', '0'], { stdio: 'ignore' })) };
tell('floor: empty Bun', client.value, 'ms');

if (groups.has('cli')) {
  tell('berth version', await times(ROUNDS, () => berth('version')), 'ms', client);
  tell('berth run --rm busybox true', await times(ROUNDS, () => berth('run', '--rm', 'busybox', 'true')), 'ms', client);
  tell('berth run --rm --network none busybox true', await times(ROUNDS, () => berth('run', '--rm', '--network', 'none', 'busybox', 'true')), 'ms', client);
}
if (groups.has('api')) {
  let n = 0;
  tell('API create + start + wait + delete', await times(ROUNDS, async () => {
    const name = `api${n++}`;
    await call('POST', `${I}?waitMs=60000`, { meta: { name }, spec: { image: 'busybox', command: ['true'] } });
    await call('POST', `${I}/${name}/start?waitMs=60000`);
    await call('GET', `${I}/${name}/wait`);
    await call('DELETE', `${I}/${name}?force=1&waitMs=60000`);
  }), 'ms', fork);
}
if (groups.has('exec')) {
  await daemon.create('exec', { command: ['sleep', '100000'] });
  tell('berth exec true', await times(ROUNDS, () => berth('exec', 'exec', 'true')), 'ms', client);
  await call('DELETE', `${I}/exec?force=1&waitMs=60000`);
}

async function many(count: number, work: (index: number) => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  let next = 0;
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    while (next < count) await work(next++);
  }));
  return performance.now() - begin;
}

const start = (index: number) => call('POST', `${I}?waitMs=60000`, { meta: { name: `many${index}` }, spec: { image: 'busybox', command: ['sleep', '100000'], running: true } });
const remove = (index: number) => call('DELETE', `${I}/many${index}?force=1&waitMs=60000`);

if (groups.has('many')) {
  tell(`${MANY} containers with network, ${PARALLEL} at a time`, MANY / (await many(MANY, start)) * 1000, 'per s');
  tell(`forced removal of them`, MANY / (await many(MANY, remove)) * 1000, 'per s');
}

const pssKib = (pid: number): number => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);

if (groups.has('list') || groups.has('memory')) {
  tell('daemon PSS, nothing running', pssKib(daemon.pid!) / 1024, 'MiB');
  await many(SCALE, start);
  if (groups.has('list')) {
    tell(`list of ${SCALE}, API`, await times(ROUNDS, () => call('GET', I)), 'ms');
    tell(`berth ps, ${SCALE}`, await times(ROUNDS, () => berth('ps')), 'ms', client);
    tell(`stats of ${SCALE}, API`, await times(ROUNDS, () => call('GET', `${I}/-/stats`)), 'ms');
  }
  if (groups.has('memory')) {
    tell(`daemon PSS, ${SCALE} running`, pssKib(daemon.pid!) / 1024, 'MiB');
    const items = (await call('GET', I)).items as { status: { monitorPid: number; pid: number } }[];
    tell('monitor PSS each', items.reduce((sum, item) => sum + pssKib(item.status.monitorPid), 0) / items.length / 1024, 'MiB');
    tell('payload PSS each', items.reduce((sum, item) => sum + pssKib(item.status.pid), 0) / items.length / 1024, 'MiB');
  }
  await many(SCALE, remove);
}

if (groups.has('vm')) {
  await using bench = await openQemuBench();
  const hello: number[] = [];
  const rounds = Math.min(5, ROUNDS);
  for (let round = 0; round < rounds; round++) {
    await using machine = await bootBareMachine(bench.plan(['true'], { resources: { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100 } }), bench.rootDir);
    hello.push(machine.helloMs);
  }
  const floor = { name: 'bare QEMU to the agent', value: median(hello) };
  tell('floor: bare QEMU to the agent', floor.value, 'ms');
  tell('berth run --vm --rm busybox true', await times(rounds, () => berth('run', '--vm', '--rm', 'busybox', 'true')), 'ms', floor);
  const vm = await call('POST', `${I}?waitMs=120000`, { meta: { name: 'vm' }, spec: { image: 'busybox', isolation: 'vm', command: ['sleep', '100000'], running: true, memoryBytes: 128 * 1024 * 1024 } });
  if (vm.status.state !== 'succeeded') throw new Error(JSON.stringify(vm.status));
  tell('berth exec true in a microVM', await times(rounds, () => berth('exec', 'vm', 'true')), 'ms');
  tell('idle microVM of 128 MiB, PSS of QEMU', pssKib((await call('GET', `${I}/vm`)).status.pid) / 1024, 'MiB');
  await call('DELETE', `${I}/vm?force=1&waitMs=60000`);
}

const { SYSTEMS = '60', MACHINES = '10', SLOPE = '10' } = process.env;
const counts = { rounds: Math.min(7, ROUNDS), systems: Number(SYSTEMS), machines: Number(MACHINES), slope: Number(SLOPE) };
if (groups.has('containers')) await measureContainers(figures, daemon, counts);
if (groups.has('machines')) await measureMachines(figures, daemon, counts);

agent.destroy();
console.log(figures.table());
