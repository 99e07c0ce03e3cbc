/** Images from registries and back, against Debian's docker-registry: plain on loopback, and over TLS with its own CA and a login. skopeo is the witness. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ACCOUNT, startDockerRegistry, type DockerRegistry } from '../lib/docker-registry.ts';
import { buildImage, digestOf, file as entry, layerTar, writeLayout, type BuiltImage } from '../lib/image-builder.ts';
import { berth, type CliOptions, type CliResult } from '../lib/cli.ts';
import { startCli } from '../lib/cli-process.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const TLS = path.resolve(import.meta.dirname, '../fixtures/etcd-tls');
const PLAIN = '127.0.0.1:5000';
const CLOSED = '127.0.0.1:5001';
const APP = `${PLAIN}/team/app:1`;

describe('images and registries', () => {
  let daemon: TestDaemon;
  let plain: DockerRegistry;
  let closed: DockerRegistry;
  let home: string;
  let certificates: string;
  let digest: string;

  /** As a user with a home of his own. */
  const as = (args: readonly string[], options: CliOptions = {}): Promise<CliResult> => berth(daemon, args, { timeoutMs: 180_000, ...options, env: { HOME: home, ...options.env } });
  const ok = async (args: readonly string[], options: CliOptions = {}): Promise<string> => {
    const { code, stdout, stderr } = await as(args, options);
    assert.equal(code, 0, `berth ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout.trim();
  };
  const skopeo = async (...args: string[]): Promise<string> => (await daemon.fromTheHost(['skopeo', ...args], 60_000)).trim();
  const remoteDigest = (reference: string, ...flags: string[]): Promise<string> => skopeo('inspect', ...(flags.length === 0 ? ['--tls-verify=false'] : flags), '--format', '{{.Digest}}', `docker://${reference}`);
  const forget = async (reference: string): Promise<void> => { await as(['image', 'delete', '--force', reference]); };

  before(async () => {
    daemon = await TestDaemon.start({
      vms: true,
      prepareRoot: async (rootDir) => {
        fs.writeFileSync(path.join(rootDir, 'registries.yaml'), `search: ["${PLAIN}"]\nhosts:\n  "${CLOSED}":\n    ca: ${path.join(TLS, 'ca.crt')}\n`, { mode: 0o644 });
        return async () => undefined;
      },
    });
    const inside = { enter: daemon.enter, below: daemon.base };
    plain = await startDockerRegistry({ ...inside, port: 5000 });
    closed = await startDockerRegistry({ ...inside, port: 5001, tls: { certFile: path.join(TLS, 'server.crt'), keyFile: path.join(TLS, 'server.key') }, htpasswd: ACCOUNT.line });
    certificates = path.join(daemon.base, 'certificates');
    fs.mkdirSync(certificates);
    fs.copyFileSync(path.join(TLS, 'ca.crt'), path.join(certificates, 'ca.crt'));
    home = path.join(daemon.base, 'home');
    fs.mkdirSync(home, { mode: 0o700 });
    await daemon.bootstrapBusybox();
    digest = (JSON.parse(await ok(['image', 'get', 'busybox', '-o', 'json'])) as { status: { digest: string } }).status.digest;
  });
  after(async () => {
    await plain?.[Symbol.asyncDispose]();
    await closed?.[Symbol.asyncDispose]();
    await daemon?.[Symbol.asyncDispose]();
  });

  test('image push and image pull: the same bytes there and back; what is there is not sent again', async () => {
    assert.equal(await ok(['push', 'busybox', APP]), digest);
    assert.equal(await remoteDigest(APP), digest);
    assert.match((await as(['image', 'push', 'busybox', APP])).stderr, /already there/);
    assert.equal(await ok(['push', 'busybox', `${PLAIN}/team/copy:1`]), digest, 'mounted');
    assert.equal(await ok(['image', 'pull', APP]), APP);
    assert.deepEqual((JSON.parse(await ok(['image', 'get', APP, '-o', 'json'])) as { spec: { references: string[] } }).spec.references.toSorted(), [APP, 'localhost/busybox:latest']);
    const refused = await as(['push', 'busybox']);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /berth push busybox HOST\/busybox/);
  });

  test('run and create fetch what is missing, by a short name too; --pull never and always', async () => {
    await ok(['push', 'busybox', `${PLAIN}/tool:2`]);
    await forget('busybox');
    const never = await as(['run', '--rm', '--pull', 'never', 'tool:2', 'echo', 'hi']);
    assert.equal(never.code, 125);
    const run = await as(['run', '--rm', 'tool:2', 'echo', 'hi']);
    assert.deepEqual([run.code, run.stdout], [0, 'hi\n'], run.stderr);
    assert.match(run.stderr, /^[0-9a-f]{12}: waiting .*\n(?:.*\n)*[0-9a-f]{12}: done /m);
    assert.equal((await as(['run', '--rm', 'tool:2', 'echo', 'again'])).stderr, '', 'it is here');
    assert.match((await as(['run', '--rm', '--pull', 'always', 'tool:2', 'true'])).stderr, /already there/);
    assert.equal(await ok(['image', 'tag', 'tool:2', 'here:1']), 'here:1');
    assert.equal((await as(['run', '--rm', '--pull', 'always', 'here:1', 'true'])).stderr, '', 'made here: no registry has a newer one');
    await forget('tool:2');
    const piped = await as(['run', '--rm', '-i', 'tool:2', 'cat'], { input: 'all of it\n' });
    assert.deepEqual([piped.code, piped.stdout], [0, 'all of it\n'], piped.stderr);
    await forget('tool:2');
    const manifest = path.join(daemon.base, 'app.yaml');
    fs.writeFileSync(manifest, 'apiVersion: berth/v1\nkind: Instance\nmeta: {name: applied}\nspec: {image: "tool:2", command: [sleep, "1000"], stopSignal: SIGKILL}\n');
    assert.equal(await ok(['apply', '-f', manifest]), 'instance/applied created');
    await ok(['rm', '-f', 'applied']);
    await forget('tool:2');
    assert.equal(await ok(['create', '--name', 'made', 'tool:2', 'true']), 'made');
    await ok(['rm', 'made']);
    const nowhere = await as(['run', '--rm', 'no/such:3', 'true']);
    assert.equal(nowhere.code, 125);
    assert.match(nowhere.stderr, /There is no image 'no\/such:3' here, and it could not be fetched/);
    await ok(['image', 'tag', 'tool:2', 'here:1']);
    assert.match((await as(['run', '--rm', 'here:2', 'true'])).stderr, /Did you mean 'here:1'/);
  });

  test('one image, both forms, pushed back: the same digest', { timeout: 240_000 }, async () => {
    await forget('tool:2');
    assert.equal(await ok(['run', '--rm', APP, 'echo', 'a container']), 'a container');
    await forget(APP);
    assert.equal(await ok(['run', '--rm', '--vm', APP, 'echo', 'a machine']), 'a machine');
    assert.equal(await ok(['push', APP, `${PLAIN}/team/back:1`]), digest);
    assert.equal(await remoteDigest(`${PLAIN}/team/back:1`), digest);
  });

  test('what skopeo copied in other formats runs here; what was pulled, skopeo takes back unchanged', async () => {
    const tar = path.join(daemon.base, 'root.tar');
    await ok(['image', 'export', '--format', 'rootfs', APP, tar]);
    const layer = fs.readFileSync(tar);
    for (const compression of ['zstd', 'gzip'] as const) {
      const layout = path.join(daemon.base, compression);
      await writeLayout(buildImage({ layers: [layer], compression, name: 'x' }), layout);
      await skopeo('copy', '--quiet', '--dest-tls-verify=false', `oci:${layout}:x`, `docker://${PLAIN}/formats/${compression}:1`);
    }
    await skopeo('copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', '--format', 'v2s2', `docker://${APP}`, `docker://${PLAIN}/formats/docker:1`);
    for (const name of ['docker:1', 'zstd:1', 'gzip:1']) {
      const reference = `${PLAIN}/formats/${name}`;
      assert.equal(await ok(['run', '--rm', reference, 'echo', name]), name);
      assert.equal(await ok(['push', reference, `${PLAIN}/returned/${name}`]), await remoteDigest(reference), name);
      const layout = path.join(daemon.base, `layout-${name.replace(':', '-')}`);
      await skopeo('copy', '--quiet', '--src-tls-verify=false', `docker://${PLAIN}/returned/${name}`, `oci:${layout}:x`);
      const archive = path.join(daemon.base, 'archive.tar');
      await ok(['image', 'export', reference, archive]);
      assert.equal(await skopeo('inspect', '--format', '{{.Digest}}', `oci-archive:${archive}`), await remoteDigest(reference), name);
      fs.rmSync(archive);
    }
  });

  test('of an index with two platforms this host’s is run; another one is fetched when it is asked for, and refused where it should run', async () => {
    const layer = fs.readFileSync(path.join(daemon.base, 'root.tar'));
    const [own, foreign] = ['amd64', 'arm64'].map((architecture) => buildImage({ layers: [layer], compression: 'gzip', config: { architecture } }));
    const both = path.join(daemon.base, 'both');
    const descriptor = (image: BuiltImage, architecture: string) => ({ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: image.manifestDigest, size: image.files.get(`blobs/sha256/${image.manifestDigest.slice(7)}`)!.length, platform: { os: 'linux', architecture } });
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [descriptor(foreign!, 'arm64'), descriptor(own!, 'amd64')] }));
    const outer = { schemaVersion: 2, manifests: [{ mediaType: 'application/vnd.oci.image.index.v1+json', digest: digestOf(index), size: index.length, annotations: { 'org.opencontainers.image.ref.name': 'x' } }] };
    await writeLayout({ ...own!, files: new Map([...foreign!.files, ...own!.files, [`blobs/sha256/${digestOf(index).slice(7)}`, index], ['index.json', Buffer.from(JSON.stringify(outer))]]) }, both);
    const reference = `${PLAIN}/formats/both:1`;
    await skopeo('copy', '--quiet', '--all', '--dest-tls-verify=false', `oci:${both}:x`, `docker://${reference}`);
    assert.equal(await ok(['run', '--rm', reference, 'echo', 'own']), 'own');
    assert.equal((JSON.parse(await ok(['image', 'get', reference, '-o', 'json'])) as { status: { digest: string } }).status.digest, own!.manifestDigest);
    assert.equal(await ok(['run', '--rm', `${PLAIN}/formats/both@${digestOf(index)}`, 'echo', 'by digest']), 'by digest');
    const refused = await as(['run', '--rm', '--platform', 'linux/arm64', reference, 'true']);
    assert.equal(refused.code, 125);
    assert.match(refused.stderr, /linux\/arm64.*linux\/amd64/);
    assert.equal((JSON.parse(await ok(['image', 'get', reference, '-o', 'json'])) as { status: { digest: string } }).status.digest, foreign!.manifestDigest);
    assert.equal(await ok(['push', reference, `${PLAIN}/returned/arm:1`]), foreign!.manifestDigest);
    assert.equal((await as(['pull', '--platform', 'linux/s390x', reference])).code, 11);
    assert.equal(await ok(['image', 'copy', reference, `${PLAIN}/copied/both:1`]), digestOf(index), 'all of it');
    assert.match(await skopeo('inspect', '--raw', '--tls-verify=false', `docker://${PLAIN}/copied/both:1`), /arm64/);
  });

  test('launch fetches a system that is missing, and starts it', { timeout: 120_000 }, async () => {
    const init = layerTar([entry('etc/inittab', '::sysinit:/bin/true\n::respawn:/bin/sleep 1000\n')]); // its init is busybox’s
    const layout = path.join(daemon.base, 'system');
    await writeLayout(buildImage({ layers: [fs.readFileSync(path.join(daemon.base, 'root.tar')), init], compression: 'gzip', name: 'x' }), layout);
    const reference = `${PLAIN}/systems/small:1`;
    await skopeo('copy', '--quiet', '--dest-tls-verify=false', `oci:${layout}:x`, `docker://${reference}`);
    const never = await as(['launch', '--pull', 'never', reference, 'small']);
    assert.notEqual(never.code, 0);
    assert.match(never.stderr, /no image/i);
    const { code, stdout, stderr } = await as(['launch', reference, 'small']);
    assert.deepEqual([code, stdout], [0, 'small\n'], stderr);
    assert.match(stderr, /^[0-9a-f]{12}: done /m, 'what was fetched is told');
    const { status } = await daemon.instance('small');
    assert.deepEqual([status.state, status.form], ['running', 'osContainer']);
    assert.match(await ok(['exec', 'small', 'readlink', '/proc/1/exe']), /sbin.init/);
    assert.equal((await as(['launch', reference, 'second'])).stderr, '', 'it is here');
    await ok(['rm', '-f', 'small', 'second']);
    await forget(reference);
    const nowhere = await as(['launch', `${PLAIN}/systems/none:1`, 'none']);
    assert.equal(nowhere.code, 5, nowhere.stderr);
    assert.match(nowhere.stderr, /it could not be fetched/);
    assert.equal(await ok(['list', '-a', '-q']), '', 'nothing is left of it');
  });

  test('image copy: from registry to registry, and nothing of it stays', async () => {
    const before = await ok(['image', 'list', '-q']);
    assert.equal(await ok(['image', 'copy', `${PLAIN}/formats/zstd:1`, `${PLAIN}/copied/zstd:1`]), await remoteDigest(`${PLAIN}/formats/zstd:1`));
    assert.equal(await remoteDigest(`${PLAIN}/copied/zstd:1`), await remoteDigest(`${PLAIN}/formats/zstd:1`));
    assert.equal(await ok(['image', 'list', '-q']), before);
  });

  test('B03: the look at processes and files notices a password where there is one', async () => {
    const secret = `S3CR3T-${randomBytes(8).toString('hex')}`;
    const child = spawn('sleep', ['60'], { env: { TOKEN: secret }, stdio: 'ignore' });
    await until(() => exposed(secret).length > 0, { what: 'what is shown is noticed' });
    child.kill();
    fs.writeFileSync(path.join(daemon.runDir, 'noted'), secret);
    assert.deepEqual(holding(daemon.runDir, secret), [path.join(daemon.runDir, 'noted')]);
    fs.rmSync(path.join(daemon.runDir, 'noted'));
  });

  test('B03: registry.login: TLS with a CA of its own and a password that is on no command line, in no log and in no record', { timeout: 120_000 }, async () => {
    const reference = `${CLOSED}/private/app:1`;
    assert.equal((await as(['push', APP, reference])).code, 3, 'nobody is logged in');
    const wrong = await as(['login', CLOSED, '-u', ACCOUNT.username, '--password-stdin'], { input: 'wrong-password\n' });
    assert.equal(wrong.code, 3, wrong.stderr);
    assert.equal(fs.existsSync(path.join(home, '.docker')), false);
    const seen = new Set<string>();
    const look = setInterval(() => { for (const one of exposed(ACCOUNT.password)) seen.add(one); }, 10);
    try {
      await ok(['login', CLOSED, '-u', ACCOUNT.username, '--password-stdin'], { input: `${ACCOUNT.password}\n` });
      assert.equal(await ok(['push', APP, reference]), digest);
      await forget(reference);
      assert.equal(await ok(['run', '--rm', reference, 'echo', 'private']), 'private');
    } finally {
      clearInterval(look);
    }
    const file = path.join(home, '.docker', 'config.json');
    assert.deepEqual([fs.statSync(file).mode & 0o777, fs.statSync(path.dirname(file)).mode & 0o777], [0o600, 0o700]);
    assert.deepEqual(JSON.parse(fs.readFileSync(file, 'utf8')), { auths: { [CLOSED]: { auth: Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64') } } });
    assert.equal(await remoteDigest(reference, '--authfile', file, '--cert-dir', certificates), digest, 'skopeo logs in by the same file');
    assert.deepEqual([...seen], []);
    const said = [daemon.log, ...(await Promise.all(['events', 'audit', 'operations', 'images'].map((kind) => daemon.ok('GET', `/v1/projects/default/${kind}`)))).map((one) => JSON.stringify(one))].join('\n');
    assert.ok(said.includes('private/app'));
    for (const secret of [ACCOUNT.password, Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64')]) {
      assert.ok(!said.includes(secret));
      for (const dir of [daemon.rootDir, daemon.runDir]) assert.deepEqual(holding(dir, secret), [], 'no file of the daemon has it');
    }
    await ok(['logout', CLOSED]);
    assert.deepEqual(JSON.parse(fs.readFileSync(file, 'utf8')), { auths: {} });
    await forget(reference);
    assert.equal((await as(['pull', reference])).code, 3);
    assert.equal((await as(['logout', CLOSED])).code, 5);
  });

  test('a credential helper is asked by the caller’s own process', async () => {
    const bin = path.join(daemon.base, 'bin');
    fs.mkdirSync(bin);
    const calls = path.join(daemon.base, 'helper-calls');
    fs.writeFileSync(path.join(bin, 'docker-credential-test'), `#!/bin/sh\nread -r server\necho "$1 $server" >> ${calls}\n[ "$1" = get ] && echo '{"ServerURL":"x","Username":"${ACCOUNT.username}","Secret":"${ACCOUNT.password}"}'\nexit 0\n`, { mode: 0o755 });
    const config = path.join(daemon.base, 'docker');
    fs.mkdirSync(config, { mode: 0o700 });
    fs.writeFileSync(path.join(config, 'config.json'), JSON.stringify({ credHelpers: { [CLOSED]: 'test' }, HttpHeaders: { kept: 'yes' } }), { mode: 0o600 });
    const env = { DOCKER_CONFIG: config, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    assert.equal(await ok(['pull', `${CLOSED}/private/app:1`], { env }), `${CLOSED}/private/app:1`);
    await ok(['pull', APP], { env });
    assert.deepEqual(fs.readFileSync(calls, 'utf8'), `get ${CLOSED}\n`, 'once, and for no other registry');
    await ok(['login', CLOSED, '-u', ACCOUNT.username, '--password-stdin'], { env, input: ACCOUNT.password });
    assert.match(fs.readFileSync(calls, 'utf8'), /^store /m);
    const kept = fs.readFileSync(path.join(config, 'config.json'), 'utf8');
    assert.ok(kept.includes('HttpHeaders') && !kept.includes(ACCOUNT.password));
    await ok(['logout', CLOSED], { env });
    assert.match(fs.readFileSync(calls, 'utf8'), new RegExp(`^erase ${CLOSED}$`, 'm'));
    fs.writeFileSync(path.join(config, 'config.json'), JSON.stringify({ credsStore: '../../bin/sh' }), { mode: 0o600 });
    assert.equal((await as(['pull', APP], { env })).code, 2);
  });

  test('registry.list: whose credentials a pull may need; on a terminal each layer has its line', async () => {
    assert.deepEqual((({ search, items }) => ({ search, items }))(await daemon.ok('GET', '/v1/registries')), { search: [PLAIN], items: [{ name: CLOSED, mirrors: [] }] });
    const layers = [1, 2].map((index) => layerTar([entry(`random${index}`, randomBytes(24 << 20))]));
    const layout = path.join(daemon.base, 'large');
    await writeLayout(buildImage({ layers, compression: 'gzip', name: 'x' }), layout);
    await skopeo('copy', '--quiet', '--dest-tls-verify=false', `oci:${layout}:x`, `docker://${PLAIN}/large:1`);
    const { code, stdout } = await startCli('bun', `unix:${daemon.socketPath}`, ['pull', `${PLAIN}/large:1`], { env: { HOME: home }, terminal: true }).ended;
    assert.equal(code, 0, stdout);
    assert.match(stdout, /image\.pull 127\.0\.0\.1:5000\/large:1 {2}0 of 2 layers\r?\n {2}[0-9a-f]{12} {2}.*\r?\n {2}[0-9a-f]{12} {2}/);
    assert.match(stdout, /\x1b\[2A\x1b\[J127\.0\.0\.1:5000\/large:1\r?\n$/, 'the block is gone when it is done');
  });

  test('a pull that was cancelled half way leaves nothing that can be seen, and the next one goes on where it ended', { timeout: 120_000 }, async () => {
    const reference = `${PLAIN}/large:1`;
    await forget(reference);
    await ok(['image', 'prune']);
    const received = async (): Promise<number> => Number(/^ *lo: *(\d+)/m.exec(await daemon.fromTheHost(['cat', '/proc/net/dev']))![1]);
    const partials = (): number => fs.readdirSync(path.join(daemon.rootDir, 'images/partial')).reduce((sum, name) => sum + fs.statSync(path.join(daemon.rootDir, 'images/partial', name)).size, 0);
    await daemon.fromTheHost(['tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'tbf', 'rate', '80mbit', 'burst', '256kb', 'latency', '400ms']);
    const { child, ended } = startCli('bun', `unix:${daemon.socketPath}`, ['pull', reference], { env: { HOME: home } });
    await until(() => partials() > 16 << 20, { deadlineMs: 30_000, intervalMs: 20, what: 'a third of it' });
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    assert.deepEqual([code, stdout], [130, ''], stderr);
    assert.match(stderr, /moving/);
    await daemon.fromTheHost(['tc', 'qdisc', 'del', 'dev', 'lo', 'root']);
    assert.equal((await as(['image', 'get', reference])).code, 5);
    const kept = partials();
    const before = await received();
    await ok(['pull', reference]);
    const again = (await received()) - before;
    assert.ok(kept > 16 << 20 && again < (48 << 20) - kept + (2 << 20), `${kept} bytes were kept, ${again} came again`);
    assert.equal(partials(), 0);
  });

  for (const runtime of ['bun', 'node'] as const) {
    test(`Ctrl-C cancels a pull, nothing of it can be seen, and the next one makes it (${runtime})`, async () => {
      await forget(APP);
      process.kill(plain.pid, 'SIGSTOP');
      try {
        const { child, ended } = startCli(runtime, `unix:${daemon.socketPath}`, ['run', '--rm', APP, 'true'], { env: { HOME: home } });
        const at = () => daemon.ok('GET', '/v1/projects/default/operations').then(({ items }) => items.find((one: { spec: { verb: string }; status: { state: string } }) => one.spec.verb === 'image.pull' && one.status.state === 'running'));
        const { meta } = await until(at, { what: 'a pull that waits' });
        child.kill('SIGINT');
        const { code, stderr } = await ended;
        assert.equal(code, 130, stderr);
        assert.equal((await daemon.ok('GET', `/v1/projects/default/operations/${meta.name}`).catch((error: Error) => ({ status: { state: /"cancelled"/.test(error.message) ? 'cancelled' : error.message } }))).status.state, 'cancelled');
      } finally {
        process.kill(plain.pid, 'SIGCONT');
      }
      assert.equal((await as(['image', 'get', APP])).code, 5);
      assert.equal(await ok(['run', '--rm', APP, 'echo', 'there']), 'there');
    });
  }

  test('image.usage, image prune and system df: what is shared, what is used, and what goes', async () => {
    await ok(['run', '-d', '--name', 'user', APP, 'sleep', '1000']);
    await ok(['image', 'tag', APP, 'second:name']);
    const list = await ok(['image', 'list']);
    assert.match(list.split('\n')[0]!, /REFERENCE +ID +TYPE +SIZE +SHARED +OWN +AGE/);
    const zstd = list.split('\n').find((line) => line.includes('formats/zstd'))!;
    assert.match(zstd, /MiB +\S*[1-9]\S*MiB +0B /, 'its one layer is that of others');
    const before = JSON.parse(await ok(['system', 'df', '-o', 'json'])) as { what: string; bytes: number; reclaimableBytes: number }[];
    assert.ok(before.find((row) => row.what === 'images')!.reclaimableBytes > 0);
    assert.match(await ok(['system', 'df']), /WHAT +COUNT +IN USE +SIZE +RECLAIMABLE\nimages /);
    assert.equal(await ok(['image', 'prune']), '');
    const gone = (await ok(['image', 'prune', '--all'])).split('\n');
    assert.ok(gone.some((line) => line.includes('formats/docker:1')) && !gone.some((line) => line.includes(APP)), gone.join(' '));
    assert.equal((await as(['exec', 'user', 'echo', 'lives'])).stdout, 'lives\n');
    const left = JSON.parse(await ok(['system', 'df', '-o', 'json'])) as { what: string; count: number; bytes: number; reclaimableBytes: number }[];
    assert.deepEqual(left.filter((row) => row.what === 'images' || row.what === 'layers').map((row) => [row.count, row.reclaimableBytes]), [[1, 0], [1, 0]]);
    await ok(['rm', '-f', 'user']);
    await ok(['image', 'prune', '-a']);
    assert.deepEqual([fs.readdirSync(path.join(daemon.rootDir, 'images/blobs/sha256')), fs.readdirSync(path.join(daemon.rootDir, 'l'))], [[], []]);
  });
});

/** Processes that show the secret on their command line or in their environment, this test's own aside. */
function exposed(secret: string): string[] {
  return fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid).flatMap((name) => ['cmdline', 'environ'].filter((file) => {
    try {
      return fs.readFileSync(`/proc/${name}/${file}`, 'latin1').includes(secret);
    } catch {
      return false; // it ended meanwhile
    }
  }).map((file) => `${name} ${file}`));
}

/** Files below `dir` that hold it. Trees of instances and layers are others' data. */
function holding(dir: string, secret: string): string[] {
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(dir, entry.name);
    if (entry.isDirectory()) return entry.name === 'l' || entry.name === 'roots' ? [] : holding(full, secret);
    return entry.isFile() && fs.statSync(full).size < 64 * 1024 * 1024 && fs.readFileSync(full, 'latin1').includes(secret) ? [full] : [];
  });
}
