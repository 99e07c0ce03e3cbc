/** `berth cp` from end to end, in every direction, with the habits of `docker cp`; the same in all four forms. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tarEnd, tarEntry } from '../../src/lib/tar-header.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { systemArchive } from '../lib/debian-images.ts';

const FORMS = [
  { form: 'app container', name: 'c1', make: ['run', '-d', '--name', 'c1', 'busybox', 'sleep', '100000'] },
  { form: 'OS container', name: 'c2', make: ['launch', 'system', 'c2'] },
  { form: 'microVM', name: 'c3', make: ['run', '--vm', '-d', '--name', 'c3', 'busybox', 'sleep', '100000'] },
  { form: 'VM', name: 'c4', make: ['launch', '--vm', 'system', 'c4', '--memory', '512m'] },
];
/** An emulated system boots, on a machine that others keep busy. */
const PATIENCE_MS = 300_000;

describe('cp', () => {
  let daemon: TestDaemon, dir: string;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    dir = path.join(daemon.base, 'here');
    fs.mkdirSync(path.join(dir, 'tree/sub'), { recursive: true });
    fs.writeFileSync(path.join(dir, 'tree/a'), 'one\n', { mode: 0o640 });
    fs.writeFileSync(path.join(dir, 'tree/sub/big'), Buffer.alloc(1_500_000, 'x'));
    fs.symlinkSync('a', path.join(dir, 'tree/link'));
    fs.utimesSync(path.join(dir, 'tree/a'), 1_000_000_000, 1_000_000_000.5);
    await ok('image', 'bootstrap', 'busybox');
    await ok('image', 'import', await systemArchive('systemd'), '--as', 'system');
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  const here = (name: string): string => path.join(dir, name);
  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, args, { timeoutMs: PATIENCE_MS });
    assert.equal(code, 0, `berth ${args.join(' ')}: ${code}\n${stdout}\n${stderr}\n${daemon.log.slice(-2000)}`);
    return stdout;
  };
  const fails = async (code: number, wanted: RegExp, ...args: string[]): Promise<void> => {
    const result = await berth(daemon, args, { timeoutMs: PATIENCE_MS });
    assert.equal(result.code, code, `berth ${args.join(' ')}: ${result.stdout}${result.stderr}`);
    assert.match(result.stderr, wanted);
  };

  for (const { form, name, make } of FORMS) {
    test(form, async (t) => {
      await ok(...make);
      const inside = (script: string): Promise<string> => ok('exec', name, 'sh', '-c', script);
      await inside('mkdir -p /data /tmp; ln -s /data /to-data; ln -s /data/one /to-file');
      const out = (file: string): string => here(`${name}-${file}`);

      await t.test('a tree goes in and comes out the same: content, modes, times, links', async () => {
        await ok('cp', here('tree'), `${name}:/data`);
        assert.equal(await inside('cd /data/tree; cat a; readlink link; stat -c "%a %Y %u" a; wc -c < sub/big'), 'one\na\n640 1000000000 0\n1500000\n');
        await ok('cp', `${name}:/data/tree`, out('back'));
        execFileSync('diff', ['-r', here('tree'), out('back')]);
        const { mode, mtimeMs } = fs.statSync(path.join(out('back'), 'a'));
        assert.deepEqual([mode & 0o777, mtimeMs], [0o640, 1_000_000_000_500]);
        assert.equal(fs.readlinkSync(path.join(out('back'), 'link')), 'a');
      });

      await t.test('into a directory by its own name, into its place by another, /. without its name', async () => {
        await ok('cp', here('tree/a'), `${name}:/data/`);
        await ok('cp', here('tree/a'), `${name}:/data/other`);
        await ok('cp', `${here('tree')}/.`, `${name}:/data/flat`);
        await ok('cp', `${here('tree')}/.`, `${name}:data`);
        assert.equal(await inside('cd /data; cat a other flat/a; ls -d sub'), 'one\none\none\nsub\n');
        fs.mkdirSync(out('dir'));
        await ok('cp', `${name}:/data/other`, out('dir'));
        await ok('cp', `${name}:/data/flat/.`, out('dir'));
        await ok('cp', `${name}:/data/other`, out('file'));
        await ok('cp', `${name}:/data/flat`, out('dir/'));
        assert.deepEqual(fs.readdirSync(out('dir')).sort(), ['a', 'flat', 'link', 'other', 'sub']);
        assert.equal(fs.readFileSync(out('file'), 'utf8'), 'one\n');
      });

      await t.test('links: of the source they are copied unless -L, at the target they are followed inside', async () => {
        await ok('cp', here('tree/a'), `${name}:/to-data`);
        await ok('cp', here('tree/a'), `${name}:/to-data/one`);
        await inside('echo changed > /data/one');
        await ok('cp', here('tree/a'), `${name}:/to-file`);
        assert.equal(await inside('cat /data/one; readlink /to-file'), 'one\n/data/one\n');
        await ok('cp', `${name}:/to-file`, out('as-link'));
        assert.equal(fs.readlinkSync(out('as-link')), '/data/one');
        await ok('cp', '-L', `${name}:/to-file`, out('as-file'));
        assert.equal(fs.readFileSync(out('as-file'), 'utf8'), 'one\n');
        await ok('cp', '-L', here('tree/link'), `${name}:/data/followed`);
        await ok('cp', here('tree/link'), `${name}:/data/unfollowed`);
        assert.equal(await inside('cat /data/followed; readlink /data/unfollowed'), 'one\na\n');
      });

      await t.test('archives by standard input and output; owners with --archive', async () => {
        const archive = Buffer.concat([tarEntry({ path: 'x/', type: 'directory', uid: 7, gid: 8 }), tarEntry({ path: 'x/y', uid: 7, gid: 8 }, Buffer.from('three\n')), tarEnd()]).toString('latin1');
        for (const [flag, owner] of [[[], '0:0'], [['-a'], '7:8']] as const) {
          const result = await berth(daemon, ['cp', ...flag, '-', `${name}:/tmp`], { input: archive, timeoutMs: PATIENCE_MS });
          assert.equal(result.code, 0, result.stderr);
          assert.equal(await inside('cat /tmp/x/y; stat -c %u:%g /tmp/x/y; rm -r /tmp/x'), `three\n${owner}\n`);
        }
        await inside('echo mine > /data/mine; chown 5:6 /data/mine');
        const listed = execFileSync('tar', ['tvf', '-', '--numeric-owner'], { input: (await ok('cp', `${name}:/data/mine`, '-')), encoding: 'utf8' });
        assert.match(listed, /5\/6 +5 .* mine$/m);
        await ok('cp', `${name}:/data/mine`, out('mine'));
        await ok('cp', '-a', `${name}:/data/mine`, out('owned'));
        assert.deepEqual([fs.statSync(out('mine')).uid, fs.statSync(out('owned')).uid, fs.statSync(out('owned')).gid], [0, 5, 6]);
      });

      await t.test('errors say what is missing and what to do', async () => {
        await fails(5, /There is no \/nope inside\.[^]*instance sees/, 'cp', `${name}:/nope`, out('x'));
        await fails(5, /There is no .* on this machine/, 'cp', here('nope'), `${name}:/data`);
        await fails(5, /no directory \/data\/nope\//, 'cp', here('tree/a'), `${name}:/data/nope/`);
        await fails(2, /\/data\/one is not a directory/, 'cp', here('tree'), `${name}:/data/one`);
        await fails(2, /not a directory/, 'cp', `${name}:/data/tree`, here('tree/a'));
        await fails(5, /no directory/, 'cp', `${name}:/data/one`, out('no/such/'));
        await fails(2, /must be a path of an instance/, 'cp', here('tree/a'), out('x'));
        assert.equal(fs.existsSync(out('x')), false);
      });
      if (name !== 'c1') await ok('rm', '-f', name);
    });
  }

  test('between instances; the audit has the paths and no content; a stopped one is refused', async () => {
    await ok('run', '-d', '--name', 'second', 'busybox', 'sleep', '1000');
    await ok('cp', 'c1:/data/tree', 'second:/copied');
    assert.equal(await ok('exec', 'second', 'cat', '/copied/a'), 'one\n');
    const audit = JSON.parse(await ok('audit', '-o', 'json')) as { readonly spec: { readonly verb?: string } }[];
    const copies = JSON.stringify(audit.filter((one) => JSON.stringify(one).includes('instance.copy')));
    assert.match(copies, /instance\.copyOut/);
    assert.match(copies, /instance\.copyIn/);
    assert.match(copies, /"path":"\/data\/tree"/);
    assert.ok(!copies.includes('three') && !copies.includes('one\\n'));
    await ok('stop', '-t', '0', 'second');
    await fails(7, /second.* is stopped; cp needs it to be running[^]*berth start second/, 'cp', 'second:/copied', here('x'));
    await ok('rm', '-f', 'second', 'c1');
  });
});
