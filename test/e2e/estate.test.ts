/**
 * The example estate with real software: nginx and PostgreSQL from Debian's packages. The web server reaches its database
 * by name; the data survives a restart, a new instance on the same volume, and the death of the daemon; the databases of
 * one image do not know of each other; and the web server does the same behind the boundary of a VM.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseAllDocuments, stringify } from 'yaml';
import { berth, type CliOptions } from '../lib/cli.ts';
import { debianArchive } from '../lib/debian-images.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const ESTATE = path.resolve(import.meta.dirname, '../../examples/estate.yaml');
const DATABASES = { 'db': 'shop', 'db-reports': 'reports', 'db-staging': 'staging' };

interface Manifest {
  readonly meta: { readonly name: string };
  readonly spec: Record<string, unknown>;
}

describe('the example estate', { timeout: 600_000 }, () => {
  let daemon: TestDaemon;

  before(async () => {
    const archives = { postgres: await debianArchive('postgres', ['postgresql']), web: await debianArchive('web', ['nginx-light', 'postgresql-client']) };
    daemon = await TestDaemon.start({ vms: true });
    for (const [name, file] of Object.entries(archives)) await say(['image', 'import', file, '--as', name], { timeoutMs: 120_000 });
    await say(['apply', '-f', ESTATE], { timeoutMs: 120_000 });
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  /** What `berth` prints; it must succeed. */
  async function say(words: readonly string[], options: CliOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await berth(daemon, words, options);
    assert.equal(code, 0, `berth ${words.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** What the page on this port says has been counted; undefined when it does not answer. */
  async function counted(port = 8080): Promise<number | undefined> {
    const page = await daemon.fromTheHost(['curl', '-sS', '-m', '5', `http://127.0.0.1:${port}/`]).catch(() => '');
    const match = /has counted (\d+) times/.exec(page);
    return match === null ? undefined : Number(match[1]);
  }

  /** The page counts on from there. */
  async function countsOnFrom(least: number, port = 8080): Promise<number> {
    return until(async () => {
      const now = await counted(port);
      return now !== undefined && now > least ? now : undefined;
    }, { deadlineMs: 60_000, intervalMs: 200, what: `a count above ${least} on port ${port}` });
  }

  const query = (host: string, database: string, sql: string): Promise<string> => say(['exec', 'web', 'psql', '-h', host, '-U', 'postgres', '-d', database, '-Atc', sql], { timeoutMs: 30_000 });

  test('the web server reaches its database by name, and the counter on its published port grows', async () => {
    await countsOnFrom(await countsOnFrom(0));
  });

  test('three databases of one image side by side, each with its own data', async () => {
    for (const [host, database] of Object.entries(DATABASES)) {
      await until(() => berth(daemon, ['exec', 'web', 'psql', '-h', host, '-U', 'postgres', '-d', database, '-Atc', 'SELECT 1']).then(({ stdout }) => stdout === '1\n'), { deadlineMs: 60_000, what: `${host} to answer` });
      await query(host, database, `CREATE TABLE mine (name text); INSERT INTO mine VALUES ('${host}')`);
    }
    for (const [host, database] of Object.entries(DATABASES)) {
      assert.equal(await query(host, database, 'SELECT name FROM mine'), `${host}\n`);
      assert.equal(await query(host, database, "SELECT datname FROM pg_database WHERE datname NOT LIKE 'template%' AND datname <> 'postgres'"), `${database}\n`);
    }
    const { layers } = (await daemon.ok('GET', '/v1/projects/default/images')).items.find((image: { spec: { references: string[] } }) => image.spec.references.some((one) => one.includes('postgres'))).status;
    assert.equal(layers.length, 1);
  });

  test('the data survives a restart', async () => {
    const before = await countsOnFrom(0);
    const { pid } = (await daemon.instance('db')).status;
    await say(['restart', 'db'], { timeoutMs: 60_000 });
    assert.notEqual((await daemon.instance('db')).status.pid, pid);
    await countsOnFrom(before);
    assert.equal(await query('db', 'shop', 'SELECT name FROM mine'), 'db\n');
  });

  test('the data survives a new instance on the same volume', async () => {
    const before = await countsOnFrom(0);
    await say(['rm', '--force', 'db']);
    assert.equal(await daemon.instance('db'), undefined);
    await say(['apply', '-f', ESTATE], { timeoutMs: 60_000 });
    await countsOnFrom(before);
    // The page may still have been told of the instance before.
    await until(async () => (await berth(daemon, ['exec', 'db', 'pg_isready', '-q'])).code === 0, { deadlineMs: 60_000, what: 'a database that takes connections' });
    assert.equal(await query('db', 'shop', 'SELECT name FROM mine'), 'db\n');
  });

  test('kill -9 of the daemon stops nobody, and the counter goes on meanwhile', async () => {
    const pids = async () => Promise.all(['db', 'db-reports', 'db-staging', 'web'].map(async (name) => (await daemon.instance(name)).status.pid));
    const running = await pids();
    await daemon.kill();
    const before = await countsOnFrom(0);
    await countsOnFrom(before);
    await daemon.up();
    assert.deepEqual(await pids(), running);
    await countsOnFrom(before);
  });

  test('kill -9 of a database: its policy starts it again, and it recovers', async () => {
    const before = await countsOnFrom(0);
    const { pid } = (await daemon.instance('db')).status;
    process.kill(pid, 'SIGKILL');
    await until(async () => { const { status } = await daemon.instance('db'); return status.state === 'running' && status.pid !== pid; }, { deadlineMs: 60_000, what: 'the restart' });
    await countsOnFrom(before);
  });

  test('the web server as a microVM: it counts in the same database, on a port of its own and for a container that knows its name', { timeout: 180_000 }, async () => {
    const [web] = parseAllDocuments(fs.readFileSync(ESTATE, 'utf8')).map((document) => document.toJS() as Manifest).filter((one) => one.meta.name === 'web');
    const machine = { ...web!, meta: { name: 'web-vm' }, spec: { ...web!.spec, isolation: 'vm', ports: [{ hostPort: 8081, targetPort: 80 }] } };
    const file = path.join(daemon.base, 'web-vm.yaml');
    fs.writeFileSync(file, stringify(machine));
    await say(['apply', '-f', file], { timeoutMs: 150_000 });
    assert.notEqual((await daemon.instance('web-vm')).status.boundary, 'kernel');
    await countsOnFrom(await countsOnFrom(await countsOnFrom(0), 8081), 8081);
    const page = await say(['exec', 'web', 'bash', '-c', 'exec 3<>/dev/tcp/web-vm/80; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'], { timeoutMs: 30_000 });
    assert.match(page, /^HTTP\/1\.1 200 [^]*has counted \d+ times/);
  });

  test('nothing leaked', () => daemon.untilNoLeaks());
});
