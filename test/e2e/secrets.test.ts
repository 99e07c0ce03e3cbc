/** B03: the value of an environment variable is for the workload alone. It is on no command line, in no other environment, in no log, event or audit record. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';

/** What of the host's processes shows the secret: `pid file`, but for the processes of the workload itself. */
function exposed(secret: string, workload: (pid: number) => boolean): string[] {
  const found: string[] = [];
  for (const name of fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const pid = Number(name);
    for (const file of ['cmdline', 'environ']) {
      let text: string;
      try { text = fs.readFileSync(`/proc/${name}/${file}`, 'latin1'); } catch { continue; } // it ended meanwhile
      if (text.includes(secret) && !workload(pid)) found.push(`${name} ${file}`);
    }
  }
  return found;
}

/** In a process namespace that is not ours: the workload, or what becomes it. */
function inside(pid: number): boolean {
  try {
    return fs.readlinkSync(`/proc/${pid}/ns/pid`) !== fs.readlinkSync('/proc/self/ns/pid');
  } catch {
    return true;
  }
}

describe('B03: secrets in the environment of an instance', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  for (const flags of [[], ['--vm']]) {
    test(flags.length === 0 ? 'app container' : 'microVM', { timeout: 120_000 }, async () => {
      const secret = `S3CR3T-${randomBytes(12).toString('hex')}`;
      const file = path.join(daemon.base, `env${flags.length}`);
      fs.writeFileSync(file, `TOKEN=${secret}\n`, { mode: 0o600 });
      const name = `secret${flags.length}`;
      const seen = new Set<string>();
      let looks = 0;
      const look = setInterval(() => { looks++; for (const one of exposed(secret, inside)) seen.add(one); }, 10);
      try {
        const started = await berth(daemon, ['run', '-d', ...flags, '--name', name, '--env-file', file, 'busybox', 'sleep', '1000'], { timeoutMs: 90_000 });
        assert.equal(started.code, 0, started.stderr);
        const shown = await berth(daemon, ['exec', name, 'sh', '-c', 'echo $TOKEN'], { timeoutMs: 60_000 });
        assert.equal(shown.stdout, `${secret}\n`, 'the workload has it');
        const failed = await berth(daemon, ['run', '--rm', ...flags, '--env-file', file, 'busybox', '/no/such/command'], { timeoutMs: 90_000 });
        assert.equal(failed.code, 127);
        assert.ok(!failed.stderr.includes(secret));
      } finally {
        clearInterval(look);
      }
      assert.ok(looks > 10, 'the processes were looked at');
      assert.deepEqual([...seen], []);
      assert.ok(!daemon.log.includes(secret), 'in the daemon’s log');
      for (const kind of ['events', 'audit', 'operations']) {
        const text = JSON.stringify(await daemon.ok('GET', `/v1/projects/default/${kind}`));
        assert.ok(text.includes(name), `${kind} speak of the instance`);
        assert.ok(!text.includes(secret), `in ${kind}`);
      }
      // Who asks for the one sees what was set, as with docker inspect; who lists sees that something was set.
      for (const words of [['get', 'instance', name, '-o', 'json'], ['describe', name]]) assert.ok((await berth(daemon, words)).stdout.includes(secret), words.join(' '));
      for (const words of [['list', '-a', '-o', 'json'], ['list', '-a', '-o', 'yaml'], ['ps', '-o', 'wide'], ['get', 'instance', '-o', 'json'], ['events', '-o', 'json'], ['why', name], ['logs', name]]) {
        const { code, stdout, stderr } = await berth(daemon, words);
        assert.deepEqual([code, (stdout + stderr).includes(secret)], [0, false], words.join(' '));
      }
      assert.match((await berth(daemon, ['list', '-a', '-o', 'json'])).stdout, /"TOKEN": *\{\s*"hidden": *true/);
      for (const dir of [daemon.rootDir, daemon.runDir]) assert.deepEqual(readable(dir, secret), [], 'in a file that others may read');
      await daemon.ok('DELETE', `/v1/projects/default/instances/${name}?force=1&waitMs=60000`);
    });
  }

  test('the look finds a secret on a command line', async () => {
    const secret = `S3CR3T-${randomBytes(12).toString('hex')}`;
    const run = berth(daemon, ['run', '--rm', '-e', `TOKEN=${secret}`, 'busybox', 'sleep', '1']);
    let found: string[] = [];
    for (let tries = 0; tries < 200 && found.length === 0; tries++) {
      found = exposed(secret, inside);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await run;
    assert.ok(found.some((one) => one.endsWith('cmdline')), 'the caller’s own command line shows it');
  });
});

/** Files below `dir` with the secret that somebody but root may read, their directories considered. */
function readable(dir: string, secret: string): string[] {
  const stat = fs.lstatSync(dir);
  if ((stat.mode & 0o011) === 0) return [];
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(dir, entry.name);
    if (entry.isDirectory()) return readable(full, secret);
    if (!entry.isFile() || (fs.statSync(full).mode & 0o044) === 0) return [];
    return fs.readFileSync(full, 'latin1').includes(secret) ? [full] : [];
  });
}
