/** Every verb once, in the words of a person, against a real daemon; the deeper tests of each lie with its subject. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';

describe('every verb', () => {
  let daemon: TestDaemon;
  /** Standard output of a command that must succeed. */
  const say = async (...words: string[]): Promise<string> => {
    const answer = await berth(daemon, words, { timeoutMs: 120_000 });
    assert.equal(answer.code, 0, `berth ${words.join(' ')}: ${answer.stderr}`);
    return answer.stdout;
  };
  const read = async (...words: string[]): Promise<any> => JSON.parse(await say(...words, '-o', 'json')); // eslint-disable-line
  const state = async (name: string): Promise<string> => (await read('get', 'instance', name)).status.state as string;

  before(async () => {
    daemon = await TestDaemon.start();
    assert.equal(await say('image', 'bootstrap', 'busybox'), 'busybox:latest\n');
  });
  after(async () => daemon[Symbol.asyncDispose]());

  test('instance.create, start, stop, restart, delete', async () => {
    assert.equal(await say('create', '--name', 'made', 'busybox', 'sleep', '1000'), 'made\n');
    assert.equal(await state('made'), 'stopped');
    await say('start', 'made');
    assert.equal(await state('made'), 'running');
    const before = (await read('get', 'instance', 'made')).status.pid;
    await say('restart', '-t', '0', 'made');
    assert.notEqual((await read('get', 'instance', 'made')).status.pid, before);
    await say('stop', '-t', '0', 'made');
    assert.equal((await read('get', 'instance', 'made')).status.exitCode, 137);
    await say('rm', 'made');
    assert.equal((await berth(daemon, ['get', 'instance', 'made'])).code, 5);
  });

  test('instance.pause, resume, kill, wait', async () => {
    await say('run', '-d', '--name', 'held', 'busybox', 'sleep', '1000');
    await say('pause', 'held');
    assert.equal(await state('held'), 'paused');
    await say('resume', 'held');
    assert.equal(await state('held'), 'running');
    await say('kill', '-s', 'KILL', 'held');
    assert.equal(await say('wait', 'held'), '137\n');
    await say('rm', 'held');
  });

  test('instance.rename, update, list, logs, describe', async () => {
    await say('run', '-d', '--name', 'first', 'busybox', 'sh', '-c', 'echo spoken; exec sleep 1000');
    await say('rename', 'first', 'second');
    await say('update', 'second', '--label', 'tier=web');
    assert.deepEqual((await read('list', '--filter', 'label=tier=web')).map((one: any) => one.meta.name), ['second']); // eslint-disable-line
    assert.equal(await say('ps', '-o', 'name'), 'instance/second\n');
    assert.equal(await say('logs', 'second'), 'spoken\n');
    assert.match(await say('describe', 'instance', 'second'), /second/);
    assert.match(await say('why', 'second'), /second/);
    await say('rm', '-f', 'second');
  });

  test('instance.attach, exec', async () => {
    await say('run', '-d', '-i', '--name', 'talks', 'busybox', 'cat');
    assert.equal(await say('exec', 'talks', 'echo', 'inside'), 'inside\n');
    const attached = await berth(daemon, ['attach', 'talks'], { input: 'line\n' });
    assert.deepEqual(attached, { code: 0, stdout: 'line\n', stderr: '' });
    await say('rm', '-f', 'talks');
  });

  test('image.tag, get, list, history, export, import, delete', async () => {
    await say('image', 'tag', 'busybox', 'other:1');
    const [one, two] = [await read('image', 'get', 'busybox'), await read('image', 'get', 'other:1')];
    assert.equal(one.meta.id, two.meta.id);
    assert.equal((await read('image', 'list')).length, 1);
    assert.match(await say('image', 'history', 'busybox'), /sha256:[0-9a-f]{64}/);
    const archive = path.join(daemon.base, 'busybox.tar');
    await say('image', 'export', 'busybox', archive);
    await say('image', 'import', archive, '--as', 'third:2');
    assert.equal((await read('image', 'get', 'third:2')).meta.id, one.meta.id);
    for (const name of ['other:1', 'third:2']) await say('image', 'delete', name);
    assert.equal((await berth(daemon, ['image', 'get', 'other:1'])).code, 5);
  });

  test('volume.create, get, list, delete', async () => {
    await say('volume', 'create', 'data');
    assert.equal((await read('volume', 'get', 'data')).status.state, 'ready');
    assert.equal(await say('volume', 'list', '-o', 'name'), 'volume/data\n');
    await say('volume', 'delete', 'data');
  });

  test('network.create, get, list, delete', async () => {
    await say('network', 'create', 'own');
    assert.match((await read('network', 'get', 'own')).status.ipv4.gateway, /^10\./);
    assert.deepEqual((await say('network', 'list', '-o', 'name')).trim().split('\n').sort(), ['network/default', 'network/own']);
    await say('network', 'delete', 'own');
  });

  test('project.create, get, list, update, delete', async () => {
    await say('project', 'create', 'tenant');
    await say('project', 'update', 'tenant', '--instances-limit', '1');
    assert.equal((await read('project', 'get', 'tenant')).meta.name, 'tenant');
    assert.ok((await say('project', 'list', '-o', 'name')).includes('project/tenant'));
    await say('project', 'delete', 'tenant');
  });

  test('pool.get, pool.list, node.get, node.list', async () => {
    assert.equal((await read('pool', 'list')).length, 1);
    assert.equal((await read('pool', 'get', 'default')).status.state, 'ready');
    const [node] = await read('node', 'list');
    assert.equal((await read('node', 'get', node.meta.name)).status.state, 'ready');
  });

  test('operation.list, get, wait, cancel', async () => {
    const started = (await say('create', '--no-wait', '--name', 'later', 'busybox', 'true')).trim();
    await say('operation', 'wait', started);
    assert.equal((await read('operation', 'get', started)).status.state, 'succeeded');
    assert.ok((await read('operation', 'list')).length > 0);
    // One that has ended cannot be undone any more, and says so.
    assert.equal((await berth(daemon, ['operation', 'cancel', started])).code, 7);
    await say('rm', 'later');
  });

  test('event.list, audit.list, debug.leaks, debug.steps', async () => {
    assert.match(await say('events'), /instance\.started/);
    assert.match(await say('audit'), /instance\.create/);
    assert.match(await say('debug', 'steps'), /instance\.create/);
    assert.equal(await say('debug', 'leaks'), '');
  });

  test('instance.top: what runs inside, in the instance’s own numbers and names, made safe to print', async () => {
    await say('run', '-d', '--name', 'two', '-u', 'www-data', 'busybox', 'sh', '-c', 'sleep 998 & wait', 'evil\u001b[2J\nroot');
    await say('run', '-d', '--name', 'other', 'busybox', 'sleep', '996');
    const table = await say('top', 'two');
    assert.match(table, /^INSTANCE +PID +USER +S +CPU TIME +MEMORY +AGE +COMMAND\ntwo +1 +www-data +S +\S+s +\S+iB +\S+s +sh -c sleep 998 & wait evil[^\n\u001b]*root\ntwo +\d+ +www-data +S .* sleep 998\n$/);
    const all = JSON.parse(await say('top', '-o', 'json'));
    assert.deepEqual(all.map((one: any) => [one.name, one.processes[0].pid, one.processes[0].user, one.processes[0].parentPid]).sort(), [['other', 1, 'root', 0], ['two', 1, 'www-data', 0]]); // eslint-disable-line
    const busiest = await say('top');
    assert.ok(/^other .* sleep 996$/m.test(busiest) && /^two /m.test(busiest), busiest);
    await say('stop', '-t', '0', 'other');
    const { code, stderr } = await berth(daemon, ['top', 'other']);
    assert.equal(code, 7, stderr);
    assert.match(stderr, /'other' is stopped: nothing runs in it/);
    await say('rm', '-f', 'two', 'other');
  });

  test('instance.stats over the API', async () => {
    await say('run', '-d', '--name', 'busy', 'busybox', 'sleep', '1000');
    const answer = await daemon.ok('GET', '/v1/projects/default/instances/-/stats');
    assert.ok(JSON.stringify(answer).includes('busy'));
    await say('rm', '-f', 'busy');
  });
});
