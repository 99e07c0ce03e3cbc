/** The command line against a real daemon: manifests, terminals, exit codes, completion; each verb's own test is elsewhere. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { berth } from '../lib/cli.ts';
import { cli, startCli } from '../lib/cli-process.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const MANIFEST = `
kind: Network
meta: { name: front }
---
kind: Volume
meta: { name: data }
---
kind: Instance
meta: { name: web, labels: { tier: web } }
spec:
  image: busybox
  command: [sleep, "1000"]
  env: { GREETING: hello }
  networks: [{ name: front }]
  volumes: [{ volume: data, target: /data }]
  ports: [{ targetPort: 80 }]
  memoryBytes: 67108864
`;

describe('the command line and the daemon', () => {
  let daemon: TestDaemon;
  const say = async (...words: string[]): Promise<string> => {
    const answer = await berth(daemon, words, { timeoutMs: 120_000 });
    assert.equal(answer.code, 0, `berth ${words.join(' ')}: ${answer.stderr}`);
    return answer.stdout;
  };
  const host = () => `unix:${daemon.socketPath}`;
  before(async () => {
    daemon = await TestDaemon.start();
    await say('image', 'bootstrap', 'busybox');
  });
  after(async () => daemon[Symbol.asyncDispose]());

  test('a manifest: created, unchanged, updated, deleted, absent', async () => {
    const file = path.join(daemon.base, 'estate.yaml');
    await writeFile(file, MANIFEST);
    assert.equal(await say('apply', '-f', file), 'network/front created\nvolume/data created\ninstance/web created\n');
    assert.equal((await daemon.instance('web')).status.state, 'running');
    assert.equal(await say('apply', '-f', file), 'network/front unchanged\nvolume/data unchanged\ninstance/web unchanged\n');

    await writeFile(file, MANIFEST.replace('GREETING: hello', 'OTHER: x').replace('  memoryBytes: 67108864\n', '').replace('labels: { tier: web }', 'labels: {}'));
    const changed = await berth(daemon, ['apply', '-f', file]);
    assert.deepEqual([changed.code, changed.stdout], [0, 'network/front unchanged\nvolume/data unchanged\ninstance/web updated\n']);
    assert.equal(changed.stderr, 'berth: instance/web: env will change at the next start.\n', 'what waits is said, not left to be found out');
    const { spec, meta } = await daemon.instance('web');
    assert.deepEqual([spec.env, spec.memoryBytes, spec.running, meta.labels ?? {}], [{ OTHER: 'x' }, undefined, true, {}]);
    assert.equal(await say('apply', '-f', file), 'network/front unchanged\nvolume/data unchanged\ninstance/web unchanged\n');

    await writeFile(file, MANIFEST.replace('meta: { name: front }', 'meta: { name: front }\nspec: { internal: true }'));
    const refused = await berth(daemon, ['apply', '-f', file]);
    assert.equal(refused.code, 11);
    assert.match(refused.stderr, /network 'front' is there already and differs in internal/);

    assert.equal(await say('delete', '-f', file), 'instance/web deleted\nvolume/data deleted\nnetwork/front deleted\n');
    assert.equal(await say('delete', '-f', file), 'instance/web absent\nvolume/data absent\nnetwork/front absent\n');
  });

  test('what get prints can be applied again', async () => {
    await say('run', '-d', '--name', 'again', '--label', 'a=b', 'busybox', 'sleep', '1000');
    const yaml = await say('get', 'instance', 'again', '-o', 'yaml');
    assert.equal((await berth(daemon, ['apply', '-f', '-'], { input: yaml })).stdout, 'instance/again unchanged\n');
    await say('rm', '-f', 'again');
    assert.equal((await berth(daemon, ['apply', '-f', '-'], { input: yaml })).stdout, 'instance/again created\n');
    await say('rm', '-f', 'again');
  });

  test('a terminal: keys, size, detach, attach, exit code', async () => {
    const first = startCli('bun', host(), ['run', '-it', '--name', 'term', 'busybox', 'sh'], { terminal: true });
    let shown = '';
    first.child.stdout!.on('data', (chunk: Buffer) => { shown += chunk.toString(); });
    await until(() => shown.includes('#'), { what: 'a prompt' });
    first.child.stdin!.write('X=41; test -t 0 && echo "sum $((X + 1))"\r');
    await until(() => shown.includes('sum 42'), { what: 'the answer of the shell' });
    first.child.stdin!.write('\u0010\u0011');
    assert.equal((await first.ended).code, 0);
    assert.equal((await daemon.instance('term')).status.state, 'running');

    const second = startCli('node', host(), ['attach', 'term'], { terminal: true });
    let more = '';
    second.child.stdout!.on('data', (chunk: Buffer) => { more += chunk.toString(); });
    second.child.stdin!.write('\r');
    await until(() => more.includes('#'), { what: 'the prompt again' });
    second.child.stdin!.write('echo "still $X"; exit 9\r');
    assert.equal((await second.ended).code, 9);
    assert.match(more, /still 41/);
    await say('rm', 'term');
  });

  test('instance.resize: the terminal inside has the size of ours, also when ours changes', async () => {
    for (const runtime of ['bun', 'node'] as const) {
      const run = startCli(runtime, host(), ['run', '--rm', '-it', 'busybox', 'sh'], { terminal: true, prelude: 'tty; stty rows 33 columns 77' });
      let shown = '';
      run.child.stdout!.on('data', (chunk: Buffer) => { shown += chunk.toString(); });
      await until(() => shown.includes('#'), { what: 'a prompt' });
      run.child.stdin!.write('stty size\r');
      await until(() => shown.includes('33 77'), { what: 'the size inside' });
      await promisify(execFile)('stty', ['-F', /\/dev\/pts\/\d+/.exec(shown)![0], 'rows', '41', 'columns', '99']);
      await until(() => {
        run.child.stdin!.write('stty size\r');
        return shown.includes('41 99');
      }, { what: 'the new size inside', intervalMs: 200 });
      run.child.stdin!.write('exit\r');
      assert.equal((await run.ended).code, 0);
    }
  });

  test('stats: what runs, and why something is not shown', async () => {
    await say('run', '-d', '--name', 'busy', 'busybox', 'sh', '-c', 'while :; do :; done');
    await say('create', '--name', 'idle', 'busybox');
    assert.match(await say('stats', 'busy'), /^NAME +FORM +CPU +MEMORY +LIMIT +NET I\/O +PIDS\nbusy +app container +\d+\.\d % +\S+iB +512MiB +\d\S* \/ \d\S* +\d+\n$/);
    assert.deepEqual(JSON.parse(await say('stats', '-o', 'json')).map((one: { name: string }) => one.name), ['busy']);
    const { code, stderr } = await berth(daemon, ['stats', 'idle']);
    assert.deepEqual([code, stderr], [7, "berth: 'idle' does not run: it is stopped.\n"]);
    await say('rm', '-f', 'busy', 'idle');
  });

  test('exec: outputs apart, input, environment, user, directory, exit codes', async () => {
    await say('run', '-d', '--name', 'box', 'busybox', 'sleep', '1000');
    assert.deepEqual(await berth(daemon, ['exec', 'box', 'sh', '-c', 'echo o; echo e >&2; exit 3']), { code: 3, stdout: 'o\n', stderr: 'e\n' });
    assert.equal((await berth(daemon, ['exec', '-i', 'box', 'wc', '-c'], { input: 'x'.repeat(300_000) })).stdout.trim(), '300000');
    assert.equal(await say('exec', '-e', 'A=1', '-w', '/tmp', '-u', '33', 'box', '--', 'sh', '-c', 'echo $A $PWD $(id -u)'), '1 /tmp 33\n');
    assert.equal((await berth(daemon, ['exec', 'box', '/no/such'])).code, 127);
    assert.equal((await berth(daemon, ['exec', 'box', '/etc/passwd'])).code, 126);
    assert.equal((await berth(daemon, ['exec', 'nobody', 'true'])).code, 125);
    await say('rm', '-f', 'box');
  });

  test('a signal to the command line is the process’s', async () => {
    const run = startCli('bun', host(), ['run', '--rm', 'busybox', 'sh', '-c', 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done'], { input: undefined });
    await new Promise((resolve) => { run.child.stdout!.once('data', resolve); });
    run.child.kill('SIGINT');
    assert.deepEqual(await run.ended, { code: 9, stdout: 'ready\ncaught\n', stderr: '' });
  });

  test('the bundled command line writes the letters of its sources', async () => {
    await say('run', '-d', '--name', 'arrow', '-p', '80', 'busybox', 'sleep', '1000');
    assert.match(await say('list'), /\d+→80/);
    await say('rm', '-f', 'arrow');
  });

  test('what a form cannot honour is refused with its reason, and nothing is made', async () => {
    for (const words of [['launch', '--read-only', 'busybox', 'no'], ['run', '--vm', '--name', 'no', '--firmware', 'uefi', 'busybox', 'true']]) {
      const { code, stderr } = await berth(daemon, words);
      assert.equal(code, words[0] === 'run' ? 125 : 11, stderr);
      assert.match(stderr, /cannot be had with an? (OS container|microVM): .+\n.+docs\/reference\/fields\.md/s);
    }
    assert.equal(await daemon.instance('no'), undefined);
  });

  test('names are completed by asking the daemon', async () => {
    await say('create', '--name', 'completed', 'busybox');
    const answers = async (...words: string[]): Promise<string[]> => (await say('completion', 'words', '--', ...words)).split('\n').slice(0, -1);
    assert.deepEqual(await answers('start', 'com'), ['completed']);
    assert.deepEqual(await answers('run', '--rm', 'bu'), ['busybox:latest']);
    assert.deepEqual(await answers('get', 'instance', ''), ['completed']);
    assert.deepEqual(await answers('run', '--network', ''), ['default', 'none']);
    assert.deepEqual(await answers('ima'), ['image']);
    assert.deepEqual(await answers('image', 'b'), ['bootstrap']);
    assert.deepEqual(await answers('run', 'busybox', ''), []);
    assert.ok((await answers('run', '--me')).includes('--memory'));
    assert.equal((await cli('bun', 'unix:/nowhere', ['completion', 'words', '--', 'start', ''])).code, 0);
    await say('rm', 'completed');
  });

  test('bash completes by our script, colons in names included', async () => {
    await say('create', '--name', 'shelled', 'busybox');
    const script = 'source <(berth completion bash); for COMP_LINE in "berth start sh" "berth run busybox:la" "berth stop --time=1 she" "berth image "; do COMP_POINT=${#COMP_LINE} COMPREPLY=(); _berth; echo "${COMPREPLY[*]}"; done';
    const { stdout } = await promisify(execFile)('bash', ['--norc', '-c', script], { env: { PATH: `${path.resolve(import.meta.dirname, '../..')}:${process.env['PATH']}`, BERTH_HOST: host() } });
    assert.equal(stdout, 'shelled\nlatest\nshelled\nbootstrap copy delete export get history import list prune pull push tag\n');
    await say('rm', 'shelled');
  });

  test('why a thing does not run', async () => {
    assert.equal((await berth(daemon, ['run', '--name', 'broken', 'busybox', 'sh', '-c', 'exit 3'])).code, 3);
    const why = await say('why', 'broken');
    assert.match(why, /^broken, an app container, ended .* with exit code 3/);
    assert.match(why, /What happened:/);
    assert.match(await say('describe', 'broken'), /imageReference: localhost\/busybox:latest/);
    await say('rm', 'broken');
  });

  test('unknown names are answered with the nearest known one', async () => {
    await say('create', '--name', 'database', 'busybox');
    const { code, stderr } = await berth(daemon, ['start', 'databse']);
    assert.equal(code, 5);
    assert.match(stderr, /database/);
    await say('rm', 'database');
  });

  test('an environment file, and a secret that no list shows', async () => {
    const file = path.join(daemon.base, 'env');
    await writeFile(file, '# comment\nA=1\nB=two words\n');
    assert.equal(await say('run', '--rm', '--env-file', file, '-e', 'A=2', 'busybox', 'sh', '-c', 'echo "$A/$B"'), '2/two words\n');
  });
});

test('whoever starts the daemon with a narrow umask gets the same daemon: instances pass through its directories', { timeout: 120_000 }, async () => {
  const before = process.umask(0o077);
  let started: TestDaemon;
  try {
    started = await TestDaemon.start();
  } finally {
    process.umask(before);
  }
  await using daemon = started;
  await daemon.bootstrapBusybox();
  await daemon.create('web', { command: ['sleep', '1000'] });
  const { code, stdout } = await berth(daemon, ['exec', 'web', 'echo', 'here']);
  assert.deepEqual([code, stdout], [0, 'here\n']);
});
