/** Token authentication from the command line: login, push, pull, run and logout, with and without an identity token. Debian's docker-registry behind TLS, the token server is the test's. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth, type CliOptions, type CliResult } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { ACCOUNT, startDockerRegistry } from '../lib/docker-registry.ts';
import type { TokenServer } from '../lib/token-server.ts';
import { startTokenServerInside } from '../lib/token-server-inside.ts';

const TLS = path.resolve(import.meta.dirname, '../fixtures/etcd-tls');
const file = (name: string): string => path.join(TLS, name);
const IDENTITY = 'an-identity-token-of-the-test';
const KINDS = [
  { what: 'passwords for tokens', host: '127.0.0.1:5000', tokenPort: 5010, identityToken: undefined },
  { what: 'an identity token', host: '127.0.0.1:5001', tokenPort: 5011, identityToken: IDENTITY },
] as const;
/** Its token server is no host that an admin named beside it. */
const UNTRUSTING = '127.0.0.1:5002';

describe('token authentication', () => {
  let daemon: TestDaemon;
  let home: string;
  const servers: TokenServer[] = [];
  const stack = new AsyncDisposableStack();

  const as = (args: readonly string[], options: CliOptions = {}): Promise<CliResult> => berth(daemon, args, { timeoutMs: 60_000, ...options, env: { HOME: home, ...options.env } });
  const ok = async (args: readonly string[], options: CliOptions = {}): Promise<string> => {
    const { code, stdout, stderr } = await as(args, options);
    assert.equal(code, 0, `berth ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout.trim();
  };
  const digestOf = async (image: string): Promise<string> => (JSON.parse(await ok(['image', 'get', image, '-o', 'json'])) as { status: { digest: string } }).status.digest;
  /** With all its names. */
  const forget = async (image: string): Promise<void> => { await ok(['image', 'delete', '--force', image]); };
  const login = (host: string, password: string): Promise<CliResult> => as(['login', host, '-u', ACCOUNT.username, '--password-stdin'], { input: `${password}\n` });

  before(async () => {
    daemon = await TestDaemon.start({
      prepareRoot: async (rootDir) => {
        const hosts = Object.fromEntries([...KINDS.map(({ host, tokenPort }) => [host, { ca: file('ca.crt'), realms: [`127.0.0.1:${tokenPort}`] }]), [UNTRUSTING, { ca: file('ca.crt') }]]);
        fs.writeFileSync(path.join(rootDir, 'registries.yaml'), JSON.stringify({ search: [], hosts }), { mode: 0o644 }); // JSON is YAML
        return async () => undefined;
      },
    });
    stack.use(daemon);
    const tls = { certFile: file('server.crt'), keyFile: file('server.key') };
    for (const { host, tokenPort, identityToken } of KINDS) {
      const tokens = stack.use(await startTokenServerInside(daemon.enter, { ...tls, port: tokenPort, issuer: 'test', service: 'registry', accounts: { [ACCOUNT.username]: ACCOUNT.password }, ...(identityToken === undefined ? {} : { identityToken }) }));
      servers.push(tokens);
      const token = { realm: tokens.realm, service: 'registry', issuer: 'test', certFile: tls.certFile };
      stack.use(await startDockerRegistry({ enter: daemon.enter, below: daemon.base, port: Number(host.split(':')[1]), tls, token }));
      if (servers.length === 1) stack.use(await startDockerRegistry({ enter: daemon.enter, below: daemon.base, port: Number(UNTRUSTING.split(':')[1]), tls, token }));
    }
    home = path.join(daemon.base, 'home');
    fs.mkdirSync(home, { mode: 0o700 });
  });
  after(() => stack.disposeAsync());

  for (const [index, { what, host, identityToken }] of KINDS.entries()) {
    test(`${what}: login, push, pull, run, logout`, { timeout: 120_000 }, async () => {
      await daemon.bootstrapBusybox();
      const digest = await digestOf('busybox');
      const secret = `${host}/private/app:1`;
      const open = `${host}/public/app:1`;
      const config = path.join(home, '.docker', 'config.json');
      assert.equal((await as(['push', 'busybox', secret])).code, 3, 'nobody is logged in');
      const wrong = await login(host, 'wrong-password');
      assert.equal(wrong.code, 3, wrong.stderr);
      assert.match(wrong.stderr, /does not take this login/);
      assert.equal((await login(host, ACCOUNT.password)).code, 0);

      const kept = JSON.parse(fs.readFileSync(config, 'utf8')) as { auths: Record<string, { auth?: string; identitytoken?: string }> };
      assert.equal(kept.auths[host]?.identitytoken, identityToken);
      const password = Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64');
      assert.equal(kept.auths[host]?.auth === password, identityToken === undefined, 'with an identity token the password is not kept');

      for (const reference of [secret, open]) assert.equal(await ok(['push', 'busybox', reference]), digest);
      const scopes = servers[index]!.asked.flatMap((one) => one.scopes);
      assert.ok(scopes.some((scope) => /^repository:private\/app:.*push/.test(scope)), scopes.join(' '));
      await forget('busybox');
      await ok(['pull', secret]);
      assert.equal(await digestOf(secret), digest);
      await forget(secret);
      assert.equal(await ok(['run', '--rm', secret, 'echo', 'private']), 'private');
      assert.equal(await ok(['push', secret, `${host}/private/back:1`]), digest);
      if (identityToken === undefined) {
        const certificates = path.join(daemon.base, 'certificates');
        fs.mkdirSync(certificates);
        fs.copyFileSync(file('ca.crt'), path.join(certificates, 'ca.crt'));
        const seen = await daemon.fromTheHost(['skopeo', 'inspect', '--authfile', config, '--cert-dir', certificates, '--format', '{{.Digest}}', `docker://${host}/private/back:1`], 60_000);
        assert.equal(seen.trim(), digest, 'skopeo logs in by the same file');
      }

      await ok(['logout', host]);
      await forget(secret);
      assert.equal((await as(['pull', secret])).code, 3);
      assert.equal((await as(['run', '--rm', secret, 'true'])).code, 125);
      await ok(['pull', open]);
      assert.ok(servers[index]!.asked.some((one) => one.account === undefined), 'tokens for everybody');
      assert.notEqual((await as(['push', open, `${host}/public/other:1`])).code, 0, 'who reads may not write');
    });
  }

  test('E09: a token server on a host that no admin named is shown no password', async () => {
    const before = servers[0]!.asked.length;
    const { code, stderr } = await login(UNTRUSTING, ACCOUNT.password);
    assert.notEqual(code, 0);
    assert.match(stderr, /wants its password to be shown to 127\.0\.0\.1:5010/);
    assert.deepEqual(servers[0]!.asked.slice(before).filter((one) => one.account !== undefined), []);
  });
});
