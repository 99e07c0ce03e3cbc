/**
 * A14, A15 by the real command, in every form: the root of an instance puts a program of its own where ours is and answers
 * `berth cp` with an archive that wants out; and lays traps where a careless host would look for its tools.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tarEnd, tarEntry } from '../../src/lib/tar-header.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { goesRed } from '../lib/red.ts';

const SLEEPS = { command: ['sleep', '10000'], stopSignal: 'SIGKILL' };
const FORMS = [
  { form: 'app container', spec: SLEEPS }, { form: 'OS container', spec: { mode: 'os', stopSignal: 'SIGKILL' } },
  { form: 'microVM', spec: { ...SLEEPS, isolation: 'vm' } }, { form: 'VM', spec: { isolation: 'vm', mode: 'os', memoryBytes: 256 * 1024 ** 2, stopSignal: 'SIGKILL' } },
];
const PATIENCE_MS = 120_000;
/** Four copies each. */
const ROUNDS = 4;

describe('cp and top of a hostile instance', { timeout: 600_000 }, () => {
  let daemon: TestDaemon, dir: string, evil: Buffer;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
    dir = path.join(daemon.base, 'here');
    fs.mkdirSync(path.join(dir, 'outside'), { recursive: true });
    fs.writeFileSync(path.join(dir, 'outside/canary'), 'as it was\n');
    const bad = Buffer.from('bad\n');
    fs.writeFileSync(path.join(dir, 'pwn'), bad);
    evil = Buffer.concat([
      tarEntry({ path: 'data/', type: 'directory' }), tarEntry({ path: 'data/l', type: 'symlink', link: '../outside' }), tarEntry({ path: 'data/l/through-a-link' }, bad),
      tarEntry({ path: '../outside/by-dots' }, bad), tarEntry({ path: 'data/../../outside/by-more-dots' }, bad), tarEntry({ path: `${dir}/outside/absolute` }, bad), tarEntry({ path: 'data/l', type: 'symlink', link: `${dir}/outside` }),
      tarEntry({ path: 'data/l/canary' }, bad), tarEnd(),
    ]);
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  const say = (words: readonly string[], input?: string) => berth(daemon, words, { timeoutMs: PATIENCE_MS, ...(input === undefined ? {} : { input }) });
  async function inside(name: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await say(['exec', name, 'sh', '-c', script]);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  /** Nothing lies where nothing was asked for, and what lay there is as it was. */
  async function staysOut(taken: (target: string) => Promise<unknown>): Promise<void> {
    const target = fs.mkdtempSync(path.join(dir, 'target-'));
    await taken(target);
    assert.deepEqual(fs.readdirSync(path.join(dir, 'outside')), ['canary']);
    assert.equal(fs.readFileSync(path.join(dir, 'outside/canary'), 'utf8'), 'as it was\n');
    assert.deepEqual(fs.readdirSync(dir).filter((name) => !['outside', 'pwn'].includes(name) && !name.startsWith('target-')), []);
  }

  /** How a file comes out of the instance, and goes in: by the command, or by somebody careless. */
  interface Way {
    out(from: string): Promise<string>;
    in(to: string): Promise<unknown>;
  }

  /** While the instance swaps a directory for a link in a loop: nothing of the host comes out, nothing comes to lie on it. */
  async function swapped(name: string, way: Way, rounds: number): Promise<void> {
    const canary = fs.mkdtempSync(path.join(dir, 'target-swap-'));
    fs.chmodSync(canary, 0o777);
    fs.writeFileSync(path.join(canary, 'secret'), 'of the host alone\n');
    await inside(name, 'mkdir -p /tmp; setsid /bin/busybox sh -c "while [ ! -e /tmp/enough ]; do rm -rf /a; mkdir -p /a/tmp; rm -rf /a; ln -s / /a; done; rm -f /tmp/enough" >/dev/null 2>&1 </dev/null &');
    let ways = 0;
    try {
      for (let round = 0; round < rounds; round++) {
        const taken = await way.out(`/a${canary}/secret`);
        assert.ok(!taken.includes('of the host alone'), 'a file of the host came out');
        assert.ok(!(await way.out('/a/etc/hostname')).includes(os.hostname()), 'the host’s own name came out');
        await way.in(`/a${canary}/pwn`);
        await way.in(`/a/tmp/pwn-${path.basename(canary)}`);
        assert.deepEqual(fs.readdirSync(canary), ['secret'], 'a file was made on the host');
        ways++;
      }
      assert.equal(fs.existsSync(`/tmp/pwn-${path.basename(canary)}`), false, 'a file was made on the host');
      // It was swapped all the while, and the command came back each time.
      assert.equal(ways, rounds);
      assert.match(await inside(name, 'ls -ld /a 2>&1; true'), /\/a/);
    } finally {
      fs.rmSync(`/tmp/pwn-${path.basename(canary)}`, { force: true });
      await inside(name, 'touch /tmp/enough');
    }
  }

  /** What the command says is an answer of ours: done, or a refusal; never a fault. */
  async function answered(words: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await say(words, input);
    assert.ok(code === 0 || stderr.startsWith('berth: '), `${words.join(' ')}: ${code} ${stderr}`);
    assert.doesNotMatch(stderr, /internal|at .*\.ts:/);
    return stdout;
  }

  const byCommand = (name: string): Way => ({
    out: (from) => answered(['cp', `${name}:${from}`, '-']),
    in: (to) => answered(['cp', path.join(dir, 'pwn'), `${name}:${to}`]),
  });

  /** Where the files of an instance lie on the host: a copy that goes there by name. */
  async function byName(name: string): Promise<Way> {
    const { meta } = await daemon.instance(name);
    const found = spawnSync('find', [daemon.rootDir, '-path', `*${meta.id}*`, '-name', 'a', '-type', 'l'], { encoding: 'utf8' }).stdout.split('\n')[0] ?? '';
    const root = path.dirname(found);
    const quietly = <T>(work: () => T, otherwise: T): Promise<T> => {
      try {
        return Promise.resolve(work());
      } catch {
        return Promise.resolve(otherwise); // it was swapped just then
      }
    };
    return { out: (from) => quietly(() => fs.readFileSync(root + from, 'utf8'), ''), in: (to) => quietly(() => { fs.writeFileSync(root + to, 'bad\n'); }, undefined) };
  }

  for (const { form, spec } of FORMS) {
    test(`${form}: A14, A15`, { timeout: 240_000 }, async () => {
      await daemon.create('evil', spec);
      await daemon.untilState('evil', 'running');
      await swapped('evil', byCommand('evil'), ROUNDS);
      const into = await say(['cp', '-', 'evil:/tmp'], Buffer.concat([tarEntry({ path: 'evil.tar' }, evil), tarEnd()]).toString('latin1'));
      assert.equal(into.code, 0, into.stderr);
      // A15: its own ps, nsenter and shell tools are nobody's but its own.
      await inside('evil', 'mkdir -p /data /traps; printf "#!/bin/busybox sh\\necho ran >> /tmp/ran\\n" > /traps/t; chmod 755 /traps/t; for n in ps nsenter tar cp cat; do ln -sf /traps/t /bin/$n; done; echo x > /data/f');
      for (const words of [['top', 'evil'], ['stats', 'evil'], ['cp', 'evil:/data', path.join(dir, `target-${form.replace(' ', '')}`)]]) {
        const { code, stderr } = await say(words);
        assert.equal(code, 0, `${words.join(' ')}: ${stderr}`);
      }
      assert.equal(await inside('evil', 'ls /tmp/ran 2>/dev/null | wc -l'), '0\n');
      // A14: it answers in the place of our program, where its root can put one there.
      await inside('evil', 'printf "#!/bin/busybox sh\\nexec /bin/busybox cat /tmp/evil.tar\\n" > /tmp/own; chmod 755 /tmp/own; mount --bind /tmp/own /dev/.init 2>/dev/null; true');
      if ('mode' in spec) assert.equal(await inside('evil', 'head -c 2 /dev/.init'), '#!', 'it stands in the place of ours');
      await staysOut(async (target) => {
        for (const from of ['/data', '/data/.', '/data/l']) await say(['cp', `evil:${from}`, target]);
      });
      await say(['rm', '-f', 'evil']);
    });
  }

  for (const { form, spec } of FORMS.filter((one) => !('isolation' in one.spec))) {
    test(`${form}: A14 goes red where a copy goes by the names that its files have on the host`, { timeout: 120_000 }, async () => {
      await daemon.create('swaps', spec);
      await inside('swaps', 'ln -s / /a');
      const way = await byName('swaps');
      await goesRed(() => swapped('swaps', way, 10_000));
      await say(['rm', '-f', 'swaps']);
    });
  }

  test('A14 goes red where the same archive is unpacked as it says', async () => {
    await goesRed(() => staysOut(async (target) => {
      spawnSync('tar', ['-P', '-x', '-C', target], { input: evil, stdio: ['pipe', 'ignore', 'ignore'] });
    }));
  });
});
