/** The command line on Bun and on Node, against a server that speaks the daemon's wire format: both must do the same. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FRAME } from '../../src/lib/frames.ts';
import { cli, RUNTIMES, startCli, type Runtime } from '../lib/cli-process.ts';
import { until } from '../lib/until.ts';
import { problem, WireServer, type Talk } from '../lib/wire-server.ts';

const RUN = '/v1/projects/default/instances/-/run';
const INSTANCES = '/v1/projects/default/instances';

function instance(name: string, status: object = {}, spec: object = {}): object {
  return {
    apiVersion: 'berth/v1', kind: 'Instance', meta: { id: `i${name.padEnd(11, '0')}`.slice(0, 12), name, project: 'default', createdAt: new Date(Date.now() - 185_000).toISOString(), generation: 1, revision: 7 }, spec: { image: 'busybox', ...spec },
    status: { state: 'running', observedGeneration: 1, form: 'appContainer', isolation: 'container', mode: 'app', node: 'n1', imageId: 'x', imageReference: 'localhost/busybox:latest', boundary: 'kernel', ports: [{ network: 'default', ipv4: '10.0.0.2' }], addresses: {}, published: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, targetPort: 80 }, { protocol: 'tcp', hostAddress: '::1', hostPort: 8080, targetPort: 80 }], volumes: {}, restarts: 0, ...status },
  };
}

function operation(state: string, more: object = {}): object {
  return { apiVersion: 'berth/v1', kind: 'Operation', meta: { id: 'o00000000001', name: 'o00000000001', project: 'default', createdAt: '2026-01-01T00:00:00Z', generation: 1, revision: 1 }, spec: { verb: 'instance.start', target: { kind: 'Instance', project: 'default', name: 'web', id: 'iweb' }, steps: ['disk', 'network', 'process'], actor: 'uid:0' }, status: { state, step: 0, startedAt: '2026-01-01T00:00:00Z', ...more } };
}

for (const runtime of Object.keys(RUNTIMES) as Runtime[]) {
  describe(`the command line on ${runtime}`, () => {
    let server: WireServer;
    const berth = (args: readonly string[], options: Parameters<typeof cli>[3] = {}) => cli(runtime, server.host, args, options);
    const onRun = (talk: (talk: Talk) => Promise<void>) => server.streams.set(RUN, talk);
    before(async () => { server = await WireServer.start(); });
    after(async () => { await server[Symbol.asyncDispose](); });

    test('run: what is asked, both outputs, the exit code', async () => {
      let asked: unknown;
      onRun(async (talk) => {
        asked = talk.request;
        await talk.send(FRAME.started, { name: 'a' });
        await talk.send(FRAME.stdout, 'out\n');
        await talk.send(FRAME.stderr, 'err\n');
        await talk.send(FRAME.exit, { exitCode: 7, reason: 'exited' });
        talk.end();
      });
      assert.deepEqual(await berth(['run', '--rm', '-e', 'A=1', 'busybox', 'sh', '-c', 'exit 7']), { code: 7, stdout: 'out\n', stderr: 'err\n' });
      assert.deepEqual(asked, { object: { meta: {}, spec: { removeOnExit: true, env: { A: '1' }, image: 'busybox', command: ['sh', '-c', 'exit 7'] } } });
    });

    test('run -i: megabytes in and out, unharmed, and the end of input', async () => {
      const sent = Buffer.alloc(6 * 1024 * 1024, 0);
      for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
      onRun(async (talk) => {
        await talk.send(FRAME.started, { name: 'a' });
        const hash = createHash('sha256');
        for await (const frame of talk.frames()) {
          if (frame.type === FRAME.stdinEnd) break;
          hash.update(frame.payload);
        }
        for (let at = 0; at < sent.length; at += 65_536) await talk.send(FRAME.stdout, sent.subarray(at, at + 65_536));
        await talk.send(FRAME.stderr, hash.digest('hex'));
        await talk.send(FRAME.exit, { exitCode: 0, reason: 'exited' });
        talk.end();
      });
      const run = startCli(runtime, server.host, ['run', '-i', 'busybox', 'cat'], { input: sent });
      const received = createHash('sha256');
      run.child.stdout!.on('data', (chunk: Buffer) => received.update(chunk));
      const { code, stderr } = await run.ended;
      const expected = createHash('sha256').update(sent).digest('hex');
      assert.deepEqual([code, stderr, received.digest('hex')], [0, expected, expected]);
    });

    test('run: signals reach the process', async () => {
      onRun(async (talk) => {
        await talk.send(FRAME.stdout, 'ready\n');
        for await (const frame of talk.frames()) {
          if (frame.type !== FRAME.signal) continue;
          await talk.send(FRAME.stdout, Buffer.from(frame.payload));
          await talk.send(FRAME.exit, { exitCode: 143, reason: 'killed' });
          return talk.end();
        }
      });
      const run = startCli(runtime, server.host, ['run', 'busybox', 'sleep', '9'], { input: undefined });
      await new Promise((resolve) => { run.child.stdout!.once('data', resolve); });
      run.child.kill('SIGTERM');
      assert.deepEqual(await run.ended, { code: 143, stdout: 'ready\n{"signal":"SIGTERM"}', stderr: '' });
    });

    test('run: 125 when it was Berth, 126 and 127 when it was the command', async () => {
      for (const [details, code] of [[{}, 125], [{ exitCode: 127 }, 127], [{ exitCode: 126 }, 126], [{ exitCode: 0 }, 125]] as const) {
        onRun(async (talk) => {
          await talk.send(FRAME.error, { code: 'notFound', message: 'There is no \u001b[31msuch thing.', hint: 'Look again.', details });
          talk.end();
        });
        assert.deepEqual(await berth(['run', 'busybox', 'x']), { code, stdout: '', stderr: 'berth: There is no such thing.\n  hint: Look again.\n' });
      }
      assert.equal((await berth(['run', '--nope', 'busybox'])).code, 125);
    });

    test('run: a connection that ends too early is no success', async () => {
      onRun(async (talk) => {
        await talk.send(FRAME.stdout, 'half');
        talk.destroy();
      });
      const { code, stdout, stderr } = await berth(['run', 'busybox', 'x']);
      assert.deepEqual([code, stdout], [125, 'half']);
      assert.match(stderr, /daemon/);
    });

    test('run -t: the terminal’s size goes along, keys go unread, the detach keys leave', async () => {
      const seen: string[] = [];
      let asked: { size?: { rows: number; columns: number } } = {};
      onRun(async (talk) => {
        asked = talk.request as typeof asked;
        await talk.send(FRAME.stdout, 'one\ntwo\nprompt# ');
        for await (const frame of talk.frames()) if (frame.type === FRAME.stdin) seen.push(Buffer.from(frame.payload).toString());
      });
      const run = startCli(runtime, server.host, ['run', '-it', 'busybox'], { terminal: true });
      let shown = '';
      run.child.stdout!.on('data', (chunk: Buffer) => { shown += chunk.toString(); });
      await until(() => shown.includes('prompt# '));
      assert.ok(shown.includes('one\ntwo\nprompt# '), 'line feeds stay what they are');
      run.child.stdin!.write('ls\u0003');
      await until(() => seen.join('') === 'ls\u0003', { what: 'the keys at the other end' });
      run.child.stdin!.write('\u0010\u0011');
      assert.equal((await run.ended).code, 0);
      assert.equal(typeof asked.size?.rows === 'number' || asked.size === undefined, true);
    });

    test('run -d and --no-wait: one line of data', async () => {
      server.routes.set(`POST ${INSTANCES}`, ({ query }) => ({ ...operation(query.has('waitMs') ? 'succeeded' : 'running') }));
      assert.deepEqual(await berth(['run', '-d', 'busybox']), { code: 0, stdout: 'web\n', stderr: '' });
      const created = server.requests.at(-1)!;
      assert.deepEqual(JSON.parse(created.body.toString()), { meta: {}, spec: { image: 'busybox', mode: 'app', running: true } });
      assert.match(String(created.headers['idempotency-key']), /^[0-9a-z]{12,64}$/);
      assert.deepEqual(await berth(['run', '-d', '--no-wait', 'busybox']), { code: 0, stdout: 'o00000000001\n', stderr: '' });
    });

    test('a long operation shows its steps, and survives a lost connection', async () => {
      server.routes.set(`POST ${INSTANCES}/web/start`, () => operation('running'));
      let asked = 0;
      server.routes.set('GET /v1/projects/default/operations/o00000000001/wait', (_, response) => {
        if (asked++ === 0) {
          response.write(`${JSON.stringify(operation('running', { step: 1 }))}\n\n`);
          response.write(`${JSON.stringify(operation('running', { step: 2, progress: { done: 512, total: 1024, unit: 'bytes', what: 'copying' } }))}\n`, () => response.destroy());
        } else response.end(`${JSON.stringify(operation('succeeded'))}\n`);
      });
      assert.deepEqual(await berth(['start', 'web']), { code: 0, stdout: 'web\n', stderr: 'instance.start web: network\ninstance.start web: copying\n' });
      assert.equal(asked, 2);
    });

    test('a failed operation ends with its error', async () => {
      server.routes.set(`POST ${INSTANCES}/web/stop`, () => operation('failed', { error: { code: 'exhausted', message: 'The disk is full.', hint: 'Make room.' } }));
      assert.deepEqual(await berth(['stop', 'web']), { code: 10, stdout: '', stderr: 'berth: The disk is full.\n  hint: Make room.\n' });
    });

    test('several names: each is tried, the first failure is the exit code', async () => {
      server.routes.set(`POST ${INSTANCES}/b/pause`, () => instance('b'));
      const { code, stdout, stderr } = await berth(['pause', 'a', 'b', 'c']);
      assert.deepEqual([code, stdout], [5, 'b\n']);
      assert.equal(stderr.match(/There is no POST/g)?.length, 2);
    });

    test('list: table, names, json, and no width limit off a terminal', async () => {
      server.routes.set(`GET ${INSTANCES}`, () => ({ kind: 'InstanceList', revision: 7, items: [instance('web'), instance('db', { state: 'stopped', exitCode: 3, reason: 'exited', boundary: undefined, ports: [], published: [] }, { image: '\u001b]0;x\u0007evil' })] }));
      const { stdout, code } = await berth(['list']);
      assert.equal(code, 0);
      assert.deepEqual(stdout.split('\n').map((line) => line.split(/ {2,}/)), [
        ['NAME', 'FORM', 'STATE', 'BOUNDARY', 'ADDRESS', 'PORTS', 'IMAGE', 'AGE'],
        ['web', 'app container', 'running', 'kernel', '10.0.0.2', '8080→80', 'busybox:latest', '3m'],
        ['db', 'app container', 'stopped (3)', '-', '-', '-', 'busybox:latest', '3m'], [''],
      ]);
      assert.equal((await berth(['list', '-o', 'name'])).stdout, 'instance/web\ninstance/db\n');
      assert.equal((await berth(['ps', '-q'])).stdout, 'web\n');
      assert.deepEqual(JSON.parse((await berth(['list', '-o', 'json', '--filter', 'state=running', '--filter', 'name=w'])).stdout).length, 2);
      assert.deepEqual(server.requests.at(-1)!.query.getAll('filter'), ['state=running', 'name=w']);
      for (const line of (await berth(['list'], { env: { COLUMNS: '50' } })).stdout.split('\n')) assert.ok([...line].length <= 50, line);
      assert.match((await berth(['list', '-o', 'yaml'])).stdout, /^- apiVersion: berth\/v1\n {2}kind: Instance\n/);
    });

    test('a list of nothing leaves the file that it is appended to as it was', async () => {
      server.routes.set(`GET ${INSTANCES}`, () => ({ items: [] }));
      const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-cli-'));
      try {
        const file = path.join(dir, 'names');
        fs.writeFileSync(file, 'before\n');
        const output = fs.openSync(file, 'a');
        assert.equal((await berth(['list', '-q'], { output })).code, 0);
        fs.closeSync(output);
        assert.equal(fs.readFileSync(file, 'utf8'), 'before\n');
      } finally {
        fs.rmSync(dir, { recursive: true });
      }
    });

    test('a list of twenty thousand arrives whole', async () => {
      const items = Array.from({ length: 20_000 }, (_, at) => instance(`i${at}`));
      server.routes.set(`GET ${INSTANCES}`, () => ({ kind: 'InstanceList', revision: 7, items }));
      const { stdout } = await berth(['list', '-q']);
      assert.equal(stdout.split('\n').length, 20_001);
    });

    test('list --watch: the list, then every change', async () => {
      server.routes.set(`GET ${INSTANCES}`, (_, response) => {
        for (const line of [{ type: 'list', revision: 7, items: [instance('web')] }, { type: 'put', revision: 8, object: instance('db') }]) response.write(`${JSON.stringify(line)}\n`);
        response.write('\n');
        response.end(`${JSON.stringify({ type: 'delete', revision: 9, key: 'instances/default/web' })}\n`);
      });
      const { code, stdout, stderr } = await berth(['list', '--watch']);
      assert.deepEqual(stdout.split('\n').map((line) => line.split(' ')[0]), ['NAME', 'web', 'db', 'web', '']);
      assert.equal(code, 12);
      assert.match(stderr, /ended the watch/);
    });

    test('logs: each line to the output that it came from; a reader that leaves ends it quietly', async () => {
      server.routes.set(`GET ${INSTANCES}/web/logs`, (_, response) => {
        const frame = (type: number, text: string): Buffer => Buffer.concat([Buffer.from([type, 0, 0, 0, text.length]), Buffer.from(text)]);
        response.write(frame(FRAME.stdout, 'one\n'));
        response.write(frame(FRAME.stderr, 'two\n').subarray(0, 3));
        response.end(frame(FRAME.stderr, 'two\n').subarray(3));
      });
      assert.deepEqual(await berth(['logs', '--tail', '10', '-t', 'web']), { code: 0, stdout: 'one\n', stderr: 'two\n' });
      assert.deepEqual([...server.requests.at(-1)!.query], [['timestamps', '1'], ['tail', '10']]);
      server.routes.set(`GET ${INSTANCES}/web/logs`, (_, response) => {
        const chunk = Buffer.concat([Buffer.from([FRAME.stdout, 0, 1, 0, 0]), Buffer.alloc(65_536, 97)]);
        const more = (): void => { while (!response.destroyed && response.write(chunk)); };
        response.on('drain', more);
        more();
      });
      const run = startCli(runtime, server.host, ['logs', '-f', 'web']);
      run.child.stdout!.once('data', () => run.child.stdout!.destroy());
      const { code, stderr } = await run.ended;
      assert.deepEqual([code, stderr], [141, '']);
    });

    test('image import and export stream through', async () => {
      const archive = Buffer.alloc(3 * 1024 * 1024, 'berth');
      server.routes.set('POST /v1/projects/default/images/-/import', ({ body }) => ({ images: [{ reference: 'localhost/x:1', id: String(body.length) }] }));
      assert.deepEqual(await berth(['image', 'import', '-', '--as', 'x:1'], { input: archive }), { code: 0, stdout: 'x:1\n', stderr: '' });
      assert.ok(server.requests.at(-1)!.body.equals(archive));
      for (const [file, reason] of [['/nowhere/x.tar', 'there is no such file'], ['/', 'it is a directory']] as const) {
        assert.deepEqual(await berth(['image', 'import', file]), { code: 2, stdout: '', stderr: `berth: '${file}' cannot be read: ${reason}.\n` });
      }
      server.routes.set('GET /v1/projects/default/images/-/export', (_, response) => void response.end(archive));
      const { stdout } = await berth(['image', 'export', 'x:1', '-']);
      assert.equal(stdout.length, archive.length);
    });

    test('errors of the daemon: sentence, fields, hint, exit code of the table', async () => {
      server.routes.set(`PATCH ${INSTANCES}/web`, (_, response) => problem(response, { status: 400, code: 'invalid', detail: 'The request is not valid.', hint: 'Look at the fields.', fields: [{ path: 'spec.cpus', message: 'too many' }, { path: 'spec.image', message: 'too long' }] }));
      assert.deepEqual(await berth(['update', 'web', '--cpus', '4']), { code: 2, stdout: '', stderr: 'berth: The request is not valid.\n  spec.cpus: too many\n  spec.image: too long\n  hint: Look at the fields.\n' });
    });

    test('no daemon: what to do about it', async () => {
      const { code, stderr } = await cli(runtime, `unix:${server.directory}/nobody`, ['list']);
      assert.equal(code, 12);
      assert.match(stderr, /No daemon answers.*\n {2}hint: .*sudo berth up/);
      assert.equal((await cli(runtime, `unix:${server.directory}/nobody`, ['version'])).code, 0);
      assert.equal((await cli(runtime, 'https://example.test', ['list'])).code, 11);
    });

    test('colours on a terminal only, and not with NO_COLOR', async () => {
      const shown = async (env: Record<string, string>) => (await berth(['strat'], { terminal: true, env })).stdout;
      assert.match(await shown({}), /\u001b\[31mberth:/);
      assert.doesNotMatch(await shown({ NO_COLOR: '1' }), /\u001b\[/);
      assert.doesNotMatch((await berth(['strat'])).stderr, /\u001b/);
    });
  });
}
