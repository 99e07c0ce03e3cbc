/**
 * E14, A17: what a client writes never becomes a word of a command line, a variable of a host tool, or a file's name of the
 * host. Each text field of each verb is tried on a real daemon whose every program is written down.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ROUTES, type Route } from '../../src/model/routes.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon, type Answer } from '../lib/daemon.ts';
import { recordingTo, startedPrograms } from '../lib/record-programs.ts';
import { textPlaces } from '../lib/text-places.ts';

const MARK = 'Mrk7zq';
const OPTIONS = [
  `-${MARK}`, `--${MARK}=x`, `--to-command=touch /tmp/${MARK}`, `,${MARK}=on,readonly=off`, `format=raw,file=/${MARK}`, `fat:rw:/${MARK}`, `../../../../../../../../tmp/${MARK}`, `/${MARK}`,
  `x\n-${MARK}`, `$(touch /tmp/${MARK})`, `;touch /tmp/${MARK};`, `%2e%2e%2f${MARK}`, `${MARK.toLowerCase()}`,
];
/** Verbs that speak with other machines, or take minutes, are tried where they are made. */
const TRIED = /^(instance\.(create|update|rename)|volume\.create|network\.create|project\.create|image\.tag)$/;

let dir: string;
let daemon: TestDaemon;
const programs = () => startedPrograms(path.join(dir, 'programs'));
const carrying = (all: ReturnType<typeof programs>) => all.filter(({ file, args, env }) => [file, ...args, ...Object.keys(env), ...Object.values(env)].some((word) => word.toLowerCase().includes(MARK.toLowerCase())));

/** Names of the host, outside of what the daemon keeps for itself. */
function strays(): string[] {
  const places = ['/tmp', '/run', '/etc', '/var/tmp', '/var/lib', '/dev', '/root', '/sys/fs/cgroup'].filter((one) => fs.existsSync(one));
  return execFileSync('find', [...places, '-xdev', '-maxdepth', '4', '-path', daemon.base, '-prune', '-o', '-iname', `*${MARK}*`, '-print'], { encoding: 'utf8' }).split('\n').filter((line) => line !== '');
}

before(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-argv-'));
  daemon = await TestDaemon.start({ vms: true, env: recordingTo(path.join(dir, 'programs')) });
  await daemon.bootstrapBusybox();
  await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'busybox' } });
  await daemon.create('subject', { running: false });
});
after(async () => {
  await daemon?.[Symbol.asyncDispose]();
  fs.rmSync(dir, { recursive: true, force: true });
});

/** Running where that is asked for, so that the text goes as far as it can. */
function bodyOf(route: Route, body: unknown): unknown {
  const { spec, ...rest } = body as { spec?: Record<string, unknown> };
  return route.verb === 'instance.create' ? { ...rest, spec: { running: true, stopSignal: 'SIGKILL', ...spec } } : body;
}

async function remove({ body }: Answer): Promise<void> {
  const { kind, name, project } = body?.kind === 'Operation' ? { ...body.spec.target, ...body.status.result } : { kind: body?.kind, ...body?.meta };
  if (name === undefined || name === 'subject' || name === 'busybox') return;
  if (kind === 'Instance') await daemon.request('DELETE', `/v1/projects/default/instances/${name}?force=1&waitMs=60000`);
  if (kind === 'Volume' || kind === 'Network') await daemon.request('DELETE', `/v1/projects/${project}/${kind.toLowerCase()}s/${name}?waitMs=60000`);
  if (kind === 'Project') await daemon.request('DELETE', `/v1/projects/${name}?waitMs=60000`);
}

describe('E14: texts that look like options', () => {
  for (const route of ROUTES.filter(({ verb, body }) => TRIED.test(verb) && body !== undefined)) {
    test(route.verb, { timeout: 300_000 }, async (t) => {
      const places = textPlaces(route.verb === 'instance.update' ? ROUTES.find(({ verb }) => verb === 'instance.create')!.body! : route.body!);
      const url = `${route.path.replace('{project}', 'default').replace('{name}', 'subject')}${route.method === 'POST' && route.path.endsWith('s') ? '?waitMs=60000' : ''}`;
      let taken = 0;
      for (const place of places) {
        for (const text of OPTIONS) {
          const answer = await daemon.request(route.method, url, bodyOf(route, place.put(text)));
          assert.ok(answer.status < 500 && answer.body?.code !== 'internal' && answer.body?.status?.error?.code !== 'internal', `${route.verb} ${place.path} = ${JSON.stringify(text)}: ${JSON.stringify(answer.body)}`);
          if (answer.status >= 300) continue;
          taken++;
          await remove(answer);
        }
      }
      t.diagnostic(`${places.length * OPTIONS.length} texts in ${places.length} places, ${taken} taken`);
      assert.deepEqual(carrying(programs()), []);
      assert.deepEqual(strays(), []);
    });
  }

  test('as words and variables of what runs inside, of either form', { timeout: 180_000 }, async () => {
    const words = OPTIONS.filter((one) => !one.includes('\0'));
    for (const form of [[], ['--vm']]) {
      const run = await berth(daemon, ['run', '--rm', ...form, '-e', `A=${words[0]!}`, '-e', `B=${words[4]!}`, '--entrypoint', 'printf', 'busybox', '%s|', ...words], { timeoutMs: 120_000 });
      assert.deepEqual([run.code, run.stdout], [0, words.map((one) => `${one}|`).join('')], run.stderr);
    }
    await daemon.create('inside', { command: ['sleep', '1000'], stopSignal: 'SIGKILL' });
    const exec = await berth(daemon, ['exec', 'inside', '--', 'printf', '%s|', ...words]);
    assert.deepEqual([exec.code, exec.stdout], [0, words.map((one) => `${one}|`).join('')], exec.stderr);
    assert.deepEqual(carrying(programs()), []);
    assert.deepEqual(strays(), []);
  });

  test('E14 goes red: the programs were written down, and one that carries the text is found, as is a file', () => {
    const all = programs();
    for (const name of ['conmon', 'dnsmasq']) assert.ok(all.some(({ file }) => path.basename(file) === name), `${name} among ${[...new Set(all.map(({ file }) => path.basename(file)))].join(', ')}`);
    assert.ok(all.some(({ args }) => args.includes('vm')) && all.some(({ args }) => args.includes('join') || args.some((one) => one.includes('join'))), 'both forms were started');
    const control = path.join(dir, 'control');
    execFileSync(process.execPath, ['-e', `require('node:child_process').spawnSync('true', ['--', '-${MARK}'])`], { env: { ...process.env, ...recordingTo(control) } });
    assert.deepEqual(carrying(startedPrograms(control)).map(({ file, args }) => [file, ...args]), [['true', '--', `-${MARK}`]]);
    const stray = path.join('/tmp', `berth-${MARK}`);
    fs.writeFileSync(stray, '');
    try {
      assert.deepEqual(strays(), [stray]);
    } finally {
      fs.rmSync(stray);
    }
  });
});
