/** What people see: ages, cells, progress, descriptions, explanations. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../model/errors.ts';
import type { Instance } from '../model/instance-status.ts';
import { KINDS } from '../model/kinds.ts';
import type { Operation } from '../model/operation.ts';
import { ageOf } from './age.ts';
import { explained } from './commands/explain.ts';
import { describedLines } from './described.ts';
import { fittedTable } from './fitted-table.ts';
import { headline } from './instance-story.ts';
import { kindOf } from './kind-words.ts';
import { flagLines } from './help.ts';
import { bar, progressLine } from './progress-line.ts';
import { VIEWS } from './views.ts';

const NOW = Date.parse('2026-01-10T00:00:00Z');
const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

test('ages', () => {
  const ages = [[0, '0s'], [59, '59s'], [60, '1m'], [3599, '59m'], [3600, '1h'], [86_400, '24h'], [172_800, '2d'], [-30, '0s']] as const;
  for (const [seconds, text] of ages) assert.equal(ageOf(ago(seconds), NOW), text);
  assert.equal(ageOf('nonsense', NOW), '-');
});

function instance(status: object, spec: object = {}): Instance {
  return { kind: 'Instance', meta: { name: 'web', project: 'p', createdAt: ago(0) }, spec: { image: 'busybox', ...spec }, status: { state: 'running', form: 'appContainer', imageReference: 'localhost/busybox:latest', ports: [], published: [], restarts: 0, ...status } } as unknown as Instance;
}

const cell = (title: string, one: Instance): string => VIEWS['Instance']!.columns.find((column) => column.title === title)!.cell(one);

test('cells of an instance', () => {
  assert.equal(cell('STATE', instance({ state: 'stopped', exitCode: 137, reason: 'oom' })), 'stopped (out of memory)');
  assert.equal(cell('STATE', instance({ state: 'stopped', exitCode: 0, reason: 'poweroff' })), 'stopped (off)');
  for (const [health, shown] of [['unknown', 'running (booting)'], ['unhealthy', 'running (degraded)'], ['healthy', 'running']] as const) assert.equal(cell('STATE', instance({ state: 'running', mode: 'os', health })), shown);
  assert.equal(cell('STATE', instance({ state: 'stopped' })), 'stopped');
  const port = (hostAddress: string, protocol = 'tcp') => ({ hostAddress, protocol, hostPort: 80, targetPort: 8080 });
  assert.equal(cell('PORTS', instance({ published: [port('127.0.0.1'), port('::1'), port('0.0.0.0'), port('::', 'udp')] })), '80→8080, *:80→8080, [::]:80→8080/udp');
  assert.equal(cell('FORM', instance({ form: 'microVM' })), 'microVM');
});

test('a mixed estate in 120 columns and in 80: nothing is cut, and what matters less gives way', () => {
  const one = (name: string, status: object, meta: object = {}): Instance => { const made = instance(status); return { ...made, meta: { ...made.meta, name, createdAt: new Date().toISOString(), ...meta } }; };
  const port = (hostAddress: string, hostPort: number, targetPort: number) => ({ hostAddress, protocol: 'tcp', hostPort, targetPort });
  const estate = [
    one('web', { boundary: 'kernel', ports: [{ ipv4: '10.89.16.2' }], published: [port('0.0.0.0', 18_080, 80), port('127.0.0.1', 18_443, 443)] }, { owner: 'ann' }),
    one('database-primary', { form: 'microVM', boundary: 'emulated', ports: [{ ipv4: '10.89.16.3' }], published: [port('127.0.0.1', 15_432, 5432), port('::1', 15_432, 5432)] }),
    one('build', { form: 'osContainer', mode: 'os', health: 'unhealthy', boundary: 'kernel', ports: [{ ipv4: '10.89.0.2' }] }),
    one('legacy', { form: 'vm', mode: 'os', health: 'unknown', boundary: 'hardware', ports: [{ ipv4: '10.89.0.11' }] }),
    one('once', { state: 'stopped', reason: 'exited', exitCode: 1, boundary: 'kernel', ports: [{ ipv4: '10.89.0.3' }] }),
  ];
  const columns = VIEWS['Instance']!.columns.filter((column) => column.wide !== true);
  const table = (width?: number): string => fittedTable(columns, estate, width);
  assert.equal(table(120), `${[
    'NAME              FORM           STATE               BOUNDARY  ADDRESS     PORTS                  AGE  OWNER',
    'web               app container  running             kernel    10.89.16.2  *:18080→80, 18443→443  0s   ann',
    'database-primary  microVM        running             emulated  10.89.16.3  15432→5432             0s   -',
    'build             OS container   running (degraded)  kernel    10.89.0.2   -                      0s   -',
    'legacy            VM             running (booting)   hardware  10.89.0.11  -                      0s   -',
    'once              app container  stopped (1)         kernel    10.89.0.3   -                      0s   -',
  ].join('\n')}\n`);
  assert.equal(table(80), `${[
    'NAME              FORM     STATE        BOUNDARY  ADDRESS     PORTS          AGE',
    'web               app      running      kernel    10.89.16.2  *:18080→80 +1  0s',
    'database-primary  microVM  running      emulated  10.89.16.3  15432→5432     0s',
    'build             OS       degraded     kernel    10.89.0.2   -              0s',
    'legacy            VM       booting      hardware  10.89.0.11  -              0s',
    'once              app      stopped (1)  kernel    10.89.0.3   -              0s',
  ].join('\n')}\n`);
  assert.match(table(), /^NAME .* IMAGE +AGE +OWNER\n/, 'where nothing limits it, all of it');
  assert.doesNotMatch(fittedTable(columns, estate.slice(1), undefined), /OWNER/, 'a column for nobody');
});

test('every kind has a view, under its own name', () => {
  for (const { kind, singular } of Object.values(KINDS)) assert.equal(VIEWS[kind]?.singular, singular);
});

test('one sentence for how it is', () => {
  assert.match(headline(instance({ state: 'stopped', reason: 'exited', exitCode: 3, finishedAt: ago(0) }, { running: true })), /^web, an app container, ended .* ago with exit code 3\.$/);
  assert.match(headline(instance({ state: 'failed' }, { running: true })), /is failed, and should run\.$/);
  assert.match(headline(instance({ state: 'stopped' })), /has never run/);
  assert.match(headline(instance({ state: 'stopped', reason: 'unknown', form: 'osContainer' })), /^web, an OS container, ended, and nobody saw how/);
});

const operation = (status: object): Operation => ({ spec: { verb: 'image.bootstrap', target: { name: 'debian' }, steps: ['packages', 'layer'] }, status: { state: 'running', step: 0, ...status } }) as unknown as Operation;

test('bars', () => {
  assert.equal(bar(operation({})), '');
  assert.equal(bar(operation({ progress: { done: 3, unit: 'files', what: 'x' } })), '  3 files');
  assert.equal(bar(operation({ progress: { done: 512, total: 1024, unit: 'bytes', what: 'x' } })), `  ${'█'.repeat(12)}${'░'.repeat(12)}  50 %  512B of 1KiB`);
  assert.match(bar(operation({ progress: { done: 5, total: 4, unit: '', what: 'x' } })), / 100 % {2}5 of 4$/);
});

test('progress: one line on a terminal, a line a change off it, and nothing of the guest’s that could act', async () => {
  const written: string[] = [];
  const stdio = (isTerminal: boolean) => ({ stdio: { isTerminal: async () => isTerminal, size: async () => ({ rows: 24, columns: 30 }), err: async (text: string) => { written.push(text); } } }) as never;
  const evil = operation({ progress: { done: 0, unit: '', what: 'un\u001b]0;x\u0007pack\ning' } });
  const off = await progressLine(stdio(false));
  for (const one of [operation({}), operation({}), operation({ step: 1 }), evil]) await off.show(one);
  await off.clear();
  assert.deepEqual(written.splice(0), ['image.bootstrap debian: packages\n', 'image.bootstrap debian: layer\n', 'image.bootstrap debian: unpack ing\n']);
  const on = await progressLine(stdio(true));
  await on.show(operation({}));
  await on.clear();
  assert.deepEqual(written, ['\r\u001b[Kimage.bootstrap debian  pack…', '\r\u001b[K']);
});

test('values as lines for people', () => {
  assert.deepEqual(describedLines({ memoryBytes: 1_048_576, stopGraceMs: 90_000, env: { A: 'x\ny' }, list: ['a', 'b'], ports: [{ name: 'p', deep: { x: 1 } }], none: null, empty: {} }, ''), [
    'memoryBytes: 1MiB', 'stopGraceMs: 1m30s', 'env:', '  A: "x\\ny"', 'list: a, b', 'ports:', '  - name: p', '    deep:', '      x: 1',
  ]);
});

test('explanations: kinds, fields by path, flag and name alone, states, and what was meant', () => {
  assert.match(explained('instance').join('\n'), /memoryBytes +Memory that it may use\.[\s\S]*Defaults, where/);
  for (const subject of ['instance.memoryBytes', 'instances.memory', 'Instance.spec.memoryBytes', 'memory']) assert.match(explained(subject)[0]!, /^instance\.memoryBytes:/);
  assert.match(explained('instance.userData').join('\n'), /microVM +refused: /);
  assert.match(explained('states').join('\n'), /backoff\n {2}Will be started again/);
  for (const subject of ['workload.os.family', 'Workload.spec.os.family', 'workloads.os.family']) assert.deepEqual(explained(subject), ['workload.os.family: The operating system that it needs.', '', '  type    linux|windows|bsd|other']);
  assert.match(explained('workload').join('\n'), /^Workload: .*\n\nFields of spec:\n[\s\S]*inside\.sshLogins +Do people log in by ssh\?/);
  assert.match(explained('event').join('\n'), /Only Berth makes these/);
  assert.throws(() => explained('instance.memroy'), (error) => error instanceof BerthError && /Did you mean instance\.memory/.test(error.hint ?? ''));
});

test('kinds in every spelling', () => {
  for (const word of ['instance', 'instances', 'Instance', 'INSTANCES']) assert.equal(kindOf(word).kind, 'Instance');
  assert.throws(() => kindOf('volum'), (error) => error instanceof BerthError && /Did you mean volume/.test(error.hint ?? ''));
});

test('flags in the help stand in columns; long ones get a line of their own', () => {
  const lines = flagLines([{ name: 'rm', help: 'Short.' }, { name: 'restart', value: 'no|on-failure[:N]|always|unless-stopped', help: 'Long.' }]);
  assert.deepEqual(lines, ['      --rm                                Short.', '      --restart no|on-failure[:N]|always|unless-stopped\n                                          Long.']);
});
