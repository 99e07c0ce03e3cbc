/**
 * OS containers: request → systemd says running, beside a bare crun of the same root; their stop; and as many at once as
 * asked for. Prints a line of JSON for each figure.
 *   node test/bench/os-containers.ts        ROUNDS=7 SYSTEMS=60 to change the counts
 */
import fs from 'node:fs';
import { berth } from '../lib/cli.ts';
import { withCrunBench } from '../lib/crun-bench.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { systemArchive } from '../lib/debian-images.ts';
import { bootSystem, systemLayer } from '../lib/os-bench.ts';
import { grown, holdings } from '../lib/churn.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 7);
const SYSTEMS = Number(process.env['SYSTEMS'] ?? 60);
const PARALLEL = 4;
const I = '/v1/projects/default/instances';
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const tell = (what: string, figures: Readonly<Record<string, number>>): void => { console.log(JSON.stringify({ what, ...Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(1))])) })); };

// The floor: the driver alone, without network, store and daemon.
const floor: number[] = [];
{
  await using layer = await systemLayer('systemd');
  await withCrunBench(async (bench) => {
    for (let round = 0; round < ROUNDS; round++) {
      const begin = performance.now();
      const { id } = await bootSystem(bench, [layer.dir]);
      floor.push(performance.now() - begin);
      await bench.driver.remove(id, { keepLog: false });
    }
  });
}
tell('floor: crun, conmon and systemd alone', { 'first boot to running, ms': median(floor) });

await using daemon = await TestDaemon.start();
const imported = await berth(daemon, ['image', 'import', await systemArchive('systemd'), '--as', 'system'], { timeoutMs: 600_000 });
if (imported.code !== 0) throw new Error(imported.stderr);

const create = (name: string) => daemon.ok('POST', `${I}?waitMs=600000`, { meta: { name }, spec: { image: 'system', mode: 'os', running: true } });
const up = (name: string) => daemon.ok('GET', `${I}/${name}/wait?state=booted,stopped,failed&timeoutMs=600000`);
const pss = (pid: number): number => Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);

const times = { requestToRunning: [] as number[], startToRunning: [] as number[], stop: [] as number[] };
for (let round = 0; round < ROUNDS; round++) {
  const name = `one${round}`;
  let begin = performance.now();
  await create(name);
  await up(name);
  times.requestToRunning.push(performance.now() - begin);
  begin = performance.now();
  await daemon.ok('POST', `${I}/${name}/stop?waitMs=120000`);
  times.stop.push(performance.now() - begin);
  begin = performance.now();
  await daemon.ok('POST', `${I}/${name}/start?waitMs=120000`);
  await up(name);
  times.startToRunning.push(performance.now() - begin);
  await daemon.ok('DELETE', `${I}/${name}?force=1&waitMs=120000`);
}
tell('OS container, Debian 12', { 'first boot to running, ms': median(times.requestToRunning), 'later boot to running, ms': median(times.startToRunning), 'stop, ms': median(times.stop) });

const names = Array.from({ length: SYSTEMS }, (_, index) => `many${index}`);
async function each(work: (name: string) => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  const left = [...names];
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) await work(name);
  }));
  return performance.now() - begin;
}
await create('kept');
await up('kept');
const before = await holdings(daemon);
const created = await each(create);
const begin = performance.now();
await Promise.all(names.map(up));
const running = performance.now() - begin;
const { items } = await daemon.ok('GET', I) as { items: { meta: { name: string }; status: { state: string; health: string; pid: number; monitorPid: number } }[] };
const many = items.filter((one) => one.meta.name.startsWith('many'));
const groupOf = (pid: number): number[] => {
  const group = /^\d+:pids:(.*)$/m.exec(fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  return group === undefined ? [pid] : fs.readFileSync(`/sys/fs/cgroup/pids${group}/cgroup.procs`, 'utf8').trim().split('\n').map(Number);
};
const memory = many.map(({ status }) => [...groupOf(status.pid), status.monitorPid].reduce((sum, pid) => { try { return sum + pss(pid); } catch { return sum; } }, 0) / 1024);
tell(`${SYSTEMS} at once`, {
  'all started, s': created / 1000, 'and all up, s': (created + running) / 1000,
  healthy: many.filter(({ status }) => status.state === 'running' && status.health === 'healthy').length, 'PSS of each with its monitor, MiB': median(memory), 'daemon PSS, MiB': pss(daemon.pid!) / 1024,
});
const stopped = await each((name) => daemon.ok('POST', `${I}/${name}/stop?waitMs=300000`));
const removed = await each((name) => daemon.ok('DELETE', `${I}/${name}?force=1&waitMs=300000`));
tell('their end', { 'stopped, s': stopped / 1000, 'removed, s': removed / 1000 });
const left = grown(before, await holdings(daemon));
console.log(JSON.stringify({ what: 'left over', left, leaks: (await daemon.leaks()).length }));
