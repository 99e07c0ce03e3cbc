/**
 * E09: where a registry leads this host. Redirects, token servers, upload addresses and names that change never reach a
 * place that nobody named, and no password reaches another host. Each case goes red when its guard is taken away.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sampleImage } from '../../src/drivers/registry/contract.ts';
import type { RegistryAccess, RegistryDriver, RegistryHostSettings } from '../../src/drivers/registry/driver.ts';
import { openOciRegistries, type OciRegistriesOptions } from '../../src/drivers/registry/oci/oci-registries.ts';
import { REGISTRY_RULES, type RegistryRules } from '../../src/drivers/registry/oci/rules.ts';
import { BerthError } from '../../src/model/errors.ts';
import { parseReference } from '../../src/model/reference.ts';
import { buildImage, file, layerTar } from '../lib/image-builder.ts';
import { startLyingRegistry, type LyingRegistry } from '../lib/lying-registry.ts';
import { goesRed } from '../lib/red.ts';

const certificate = (name: string): string => fs.readFileSync(fileURLToPath(new URL(`../fixtures/etcd-tls/${name}`, import.meta.url)), 'utf8');
const tls = { cert: certificate('server.crt'), key: certificate('server.key') };
const ca = certificate('ca.crt');
const LOGIN = { username: 'tester', password: 'a secret' };
const BASIC = `Basic ${Buffer.from('tester:a secret').toString('base64')}`;
const IMAGE = buildImage({ layers: [layerTar([file('a', 'hello')])], compression: 'gzip' });
const LAYER = IMAGE.blobs[0]!;
const SIZE = IMAGE.files.get(`blobs/sha256/${LAYER.slice(7)}`)!.length;

type Without = Partial<RegistryRules>;

function guarded(name: string, work: (rules: Without) => Promise<void>, without: Without): void {
  it(name, () => work({}));
  it(`${name}: red without its guard`, () => goesRed(() => work(without)));
}

function client(rules: Without, hosts: Readonly<Record<string, RegistryHostSettings>> = {}, more: Partial<OciRegistriesOptions> = {}): RegistryDriver {
  return openOciRegistries({ settings: { search: [], hosts }, rules: { ...REGISTRY_RULES, ...rules }, wait: () => Promise.resolve(), ...more });
}

/** The outcome of reading the layer. */
async function layerFrom(registries: RegistryDriver, registry: string, access: RegistryAccess = {}): Promise<number | BerthError> {
  await using remote = registries.image(parseReference(`${registry}/a:1`), access);
  let bytes = 0;
  try {
    for await (const chunk of remote.blob({ digest: LAYER, size: SIZE })) bytes += chunk.length;
    return bytes;
  } catch (error) {
    assert.ok(error instanceof BerthError, String(error));
    return error;
  }
}

function forbidden(outcome: unknown): void {
  assert.ok(outcome instanceof BerthError, `it was taken: ${String(outcome)}`);
  assert.equal(outcome.code, 'forbidden', outcome.message);
}

function redirecting(registry: LyingRegistry, to: string): void {
  registry.lie = (ask, response) => ask.path.includes('/blobs/') && (response.writeHead(307, { location: to }).end(), true);
}

describe('E09: redirects', () => {
  guarded('to loopback that nobody named', async (rules) => {
    await using registry = await startLyingRegistry();
    await using canary = await startLyingRegistry({ tls });
    redirecting(registry, `https://${canary.host}/canary`);
    await using registries = client(rules);
    const outcome = await layerFrom(registries, registry.host);
    assert.equal(canary.connections(), 0);
    forbidden(outcome);
  }, { mayConnect: () => true });

  for (const place of ['169.254.169.254', '10.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433', '0x7f.1', '[fd00::1]', '[64:ff9b::7f00:1]']) {
    it(`to ${place}`, async () => {
      await using registry = await startLyingRegistry();
      redirecting(registry, `https://${place}/latest/meta-data/`);
      await using registries = client({});
      forbidden(await layerFrom(registries, registry.host));
    });
  }

  guarded('to a name that is at loopback', async (rules) => {
    await using registry = await startLyingRegistry();
    await using canary = await startLyingRegistry({ tls });
    redirecting(registry, `https://cdn.example:${canary.port}/canary`);
    await using registries = client(rules, {}, { lookup: async () => ['127.0.0.1'] });
    const outcome = await layerFrom(registries, registry.host);
    assert.equal(canary.connections(), 0);
    forbidden(outcome);
  }, { mayConnect: () => true });

  guarded('to plain HTTP', async (rules) => {
    await using registry = await startLyingRegistry({ tls });
    await using canary = await startLyingRegistry({ address: '127.0.0.2' });
    redirecting(registry, `http://${canary.host}/canary`);
    await using registries = client({ mayConnect: () => true, ...rules }, { [registry.host]: { ca } });
    const outcome = await layerFrom(registries, registry.host);
    assert.equal(canary.connections(), 0);
    forbidden(outcome);
  }, { mayAsk: () => true });

  guarded('more than three of them', async (rules) => {
    await using registry = await startLyingRegistry();
    registry.add(IMAGE, '1');
    registry.lie = (ask, response) => {
      const step = Number(/step=(\d+)/.exec(ask.path)?.[1] ?? 0);
      if (!ask.path.includes('/blobs/')) return false;
      if (step === 4) response.end(registry.blobs.get(LAYER));
      else response.writeHead(302, { location: `/v2/a/blobs/${LAYER}?step=${step + 1}` }).end();
      return true;
    };
    await using registries = client(rules);
    const outcome = await layerFrom(registries, registry.host);
    assert.ok(outcome instanceof BerthError && outcome.code === 'invalid', String(outcome));
  }, { maxRedirects: 10 });

  guarded('to another host that an admin named: without the password', async (rules) => {
    await using registry = await startLyingRegistry();
    await using cdn = await startLyingRegistry({ address: '127.0.0.2' });
    cdn.blobs.set(LAYER, IMAGE.files.get(`blobs/sha256/${LAYER.slice(7)}`)!);
    registry.lie = (ask, response) => {
      if (ask.headers.authorization !== BASIC) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      else if (ask.path.includes('/blobs/')) response.writeHead(302, { location: `http://${cdn.host}/v2/x/blobs/${LAYER}` }).end();
      else return false;
      return true;
    };
    await using registries = client(rules, { [cdn.host]: { plainHttp: true } });
    assert.equal(await layerFrom(registries, registry.host, { credentials: { [registry.host]: LOGIN } }), SIZE);
    assert.deepEqual(cdn.asked.map((ask) => ask.headers.authorization), [undefined]);
  }, { keepsCredentials: () => true });

  guarded('with a password in the address', async (rules) => {
    await using registry = await startLyingRegistry();
    redirecting(registry, `http://user:word@${registry.host}/v2/a/blobs/${LAYER}`);
    await using registries = client(rules);
    forbidden(await layerFrom(registries, registry.host));
  }, { mayAsk: () => true });

  it('to other kinds of addresses', async () => {
    await using registry = await startLyingRegistry();
    await using registries = client({});
    for (const to of ['file:///etc/passwd', 'gopher://127.0.0.1/', 'data:text/plain,x', 'http://']) {
      redirecting(registry, to);
      assert.ok(await layerFrom(registries, registry.host) instanceof BerthError, to);
    }
  });
});

describe('E09: names that change', () => {
  guarded('what was checked is what is connected', async (rules) => {
    await using registry = await startLyingRegistry({ address: '127.0.0.2' });
    await using canary = await startLyingRegistry({ address: '127.0.0.1', port: registry.port });
    registry.add(IMAGE, '1');
    canary.add(IMAGE, '1');
    let asked = 0;
    // 127.0.0.2 stands for a public address, 127.0.0.1 for what is to be reached through it.
    await using registries = client({ mayConnect: (address) => address === '127.0.0.2', ...rules }, { [`registry.example:${registry.port}`]: { plainHttp: true } }, { lookup: async () => [asked++ === 0 ? '127.0.0.2' : '127.0.0.1'] });
    const outcome = await layerFrom(registries, `registry.example:${registry.port}`);
    assert.equal(canary.connections(), 0);
    assert.equal(outcome, SIZE);
  }, { pinsAddresses: false });

  guarded('a name in a reference that is at loopback', async (rules) => {
    await using registry = await startLyingRegistry({ tls });
    await using registries = client(rules, {}, { lookup: async () => ['127.0.0.1'] });
    const outcome = await layerFrom(registries, `registry.example:${registry.port}`);
    assert.equal(registry.connections(), 0);
    forbidden(outcome);
  }, { mayConnect: () => true });

  it('the same name, when an admin named it', async () => {
    await using registry = await startLyingRegistry();
    registry.add(IMAGE, '1');
    const name = `registry.example:${registry.port}`;
    await using registries = client({}, { [name]: { plainHttp: true } }, { lookup: async () => ['127.0.0.1'] });
    assert.equal(await layerFrom(registries, name), SIZE);
  });
});

describe('E09: token servers', () => {
  const bearer = (registry: LyingRegistry, realm: string): void => {
    registry.lie = (ask, response) => ask.headers.authorization !== 'Bearer good' && (response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="s"` }).end(), true);
  };
  const giving = (server: LyingRegistry, answer: string): void => {
    server.lie = (_ask, response) => (response.writeHead(200, { 'content-type': 'application/json' }).end(answer), true);
  };

  guarded('at loopback that nobody named', async (rules) => {
    await using registry = await startLyingRegistry();
    await using canary = await startLyingRegistry({ tls });
    bearer(registry, `https://${canary.host}/token`);
    await using registries = client(rules);
    const outcome = await layerFrom(registries, registry.host);
    assert.equal(canary.connections(), 0);
    forbidden(outcome);
  }, { mayConnect: () => true });

  guarded('on another domain: they are shown no password', async (rules) => {
    await using registry = await startLyingRegistry();
    await using tokens = await startLyingRegistry({ address: '127.0.0.2' });
    registry.add(IMAGE, '1');
    bearer(registry, `http://${tokens.host}/token`);
    giving(tokens, '{"token":"good"}');
    const hosts = { [tokens.host]: { plainHttp: true } };
    await using registries = client(rules, hosts);
    const outcome = await layerFrom(registries, registry.host, { credentials: { [registry.host]: LOGIN } });
    assert.equal(tokens.asked.length, 0);
    forbidden(outcome);
    await using trusting = client(rules, { ...hosts, [registry.host]: { realms: [tokens.host] } });
    assert.equal(await layerFrom(trusting, registry.host, { credentials: { [registry.host]: LOGIN } }), SIZE);
    await using anonymous = client(rules, hosts);
    assert.equal(await layerFrom(anonymous, registry.host), SIZE);
    assert.deepEqual(tokens.asked.map((ask) => ask.headers.authorization), [BASIC, undefined]);
  }, { trustsRealm: () => true });

  guarded('that send more than a token', async (rules) => {
    await using registry = await startLyingRegistry();
    registry.add(IMAGE, '1');
    bearer(registry, `http://${registry.host}/token`);
    const refuse = registry.lie!;
    registry.lie = (ask, response) => {
      if (!ask.path.startsWith('/token')) return refuse(ask, response);
      response.writeHead(200).end(JSON.stringify({ token: 'good', x: 'x'.repeat(2 * 1024 * 1024) }));
      return true;
    };
    await using registries = client(rules);
    const outcome = await layerFrom(registries, registry.host);
    assert.ok(outcome instanceof BerthError && outcome.code === 'invalid', String(outcome));
  }, { maxTokenBytes: 1e8 });

  for (const answer of ['', '{}', '{"token":""}', '{"token":"a\\r\\nx-evil: 1"}', '{"token":7}', 'null', '{"token":"a","token":"b"}']) {
    it(`that send ${answer === '' ? 'nothing' : answer}`, async () => {
      await using registry = await startLyingRegistry();
      bearer(registry, `http://${registry.host}/token`);
      const refuse = registry.lie!;
      registry.lie = (ask, response) => (ask.path.startsWith('/token') ? (response.writeHead(200).end(answer), true) : refuse(ask, response));
      await using registries = client({});
      const outcome = await layerFrom(registries, registry.host);
      assert.ok(outcome instanceof BerthError && outcome.code === 'invalid', String(outcome));
    });
  }

  it('that are no URL', async () => {
    await using registry = await startLyingRegistry();
    bearer(registry, 'not a url');
    await using registries = client({});
    const outcome = await layerFrom(registries, registry.host);
    assert.ok(outcome instanceof BerthError && outcome.code === 'invalid', String(outcome));
  });

  it('rules of the realm: one’s own host, one’s own domain, what an admin listed', () => {
    const trusts = (registry: string, realm: string, realms: readonly string[] = []): boolean => REGISTRY_RULES.trustsRealm(new URL(`https://${registry}`), new URL(`https://${realm}`), realms);
    assert.ok(trusts('registry.example.com', 'auth.example.com'));
    assert.ok(trusts('example.com', 'auth.example.com'));
    assert.ok(trusts('127.0.0.1:5000', '127.0.0.1:5000'));
    assert.ok(trusts('a.example.com', 'b.test', ['b.test']));
    assert.ok(trusts('registry.shop.co.uk', 'auth.shop.co.uk'));
    assert.ok(!trusts('registry.shop.co.uk', 'auth.evil.co.uk'));
    assert.ok(!trusts('registry.example.com', 'example.com.evil.test'));
    assert.ok(!trusts('registry.example.com', 'evilexample.com'));
    assert.ok(!trusts('127.0.0.1:5000', '127.0.0.1:5001'));
    assert.ok(!trusts('10.0.0.1', '9.0.0.1'));
    assert.ok(!trusts('localhost:1', 'localhost:2'));
  });
});

describe('E09: uploads', () => {
  guarded('go on at no place that nobody named', async (rules) => {
    await using registry = await startLyingRegistry();
    await using canary = await startLyingRegistry({ tls });
    registry.lie = (ask, response) => ask.method === 'POST' && (response.writeHead(202, { location: `https://${canary.host}/upload` }).end(), true);
    await using registries = client(rules);
    const failure = await registries.push(parseReference(`${registry.host}/a:1`), sampleImage()).then(() => 'pushed', (error: unknown) => error);
    assert.equal(canary.connections(), 0);
    forbidden(failure);
  }, { mayConnect: () => true });

  guarded('that go on elsewhere do so without the password', async (rules) => {
    await using registry = await startLyingRegistry();
    await using other = await startLyingRegistry({ address: '127.0.0.2' });
    registry.lie = (ask, response) => {
      if (ask.headers.authorization !== BASIC) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      else if (ask.method === 'POST') response.writeHead(202, { location: `http://${other.host}/upload` }).end();
      else return false;
      return true;
    };
    await using registries = client(rules, { [other.host]: { plainHttp: true } });
    await registries.push(parseReference(`${registry.host}/a:1`), sampleImage(), { credentials: { [registry.host]: LOGIN } }).catch(() => undefined);
    assert.ok(other.asked.length > 0);
    assert.deepEqual([...new Set(other.asked.map((ask) => ask.headers.authorization))], [undefined]);
  }, { keepsCredentials: () => true });
});

describe('TLS', () => {
  it('an unknown authority is refused, on loopback too, and nothing falls back to plain HTTP', async () => {
    await using registry = await startLyingRegistry({ tls });
    registry.add(IMAGE, '1');
    await using registries = client({});
    const outcome = await layerFrom(registries, registry.host);
    assert.ok(outcome instanceof BerthError && outcome.code === 'forbidden' && /certificate/.test(outcome.message), String(outcome));
    assert.deepEqual(registry.asked, []);
    await using knowing = client({}, { [registry.host]: { ca } });
    assert.equal(await layerFrom(knowing, registry.host), SIZE);
  });

  it('a certificate for another name is refused', async () => {
    await using registry = await startLyingRegistry({ tls });
    const name = `registry.example:${registry.port}`;
    await using registries = client({}, { [name]: { ca } }, { lookup: async () => ['127.0.0.1'] });
    const outcome = await layerFrom(registries, name);
    assert.ok(outcome instanceof BerthError && outcome.code === 'forbidden', String(outcome));
    assert.deepEqual(registry.asked, []);
  });

  it('plain HTTP off loopback must be allowed', async () => {
    await using registry = await startLyingRegistry();
    registry.add(IMAGE, '1');
    const name = `registry.example:${registry.port}`;
    const lookup = async (): Promise<string[]> => ['127.0.0.1'];
    await using registries = client({}, { [name]: {} }, { lookup });
    assert.ok(await layerFrom(registries, name) instanceof BerthError);
    assert.deepEqual(registry.asked, []);
    await using allowed = client({}, { [name]: { plainHttp: true } }, { lookup });
    assert.equal(await layerFrom(allowed, name), SIZE);
  });
});

describe('mirrors', () => {
  it('are asked first, with what is theirs, and passed over when they cannot', async () => {
    await using registry = await startLyingRegistry();
    await using mirror = await startLyingRegistry({ address: '127.0.0.2' });
    for (const one of [registry, mirror]) one.add(IMAGE, '1');
    await using registries = client({}, { [registry.host]: { mirrors: [mirror.host] } });
    const credentials = { [registry.host]: LOGIN };
    assert.equal(await layerFrom(registries, registry.host, { credentials }), SIZE);
    assert.deepEqual(registry.asked, []);
    assert.ok(mirror.asked.every((ask) => ask.headers.authorization === undefined));
    mirror.lie = (_ask, response) => (response.writeHead(500).end(), true);
    assert.equal(await layerFrom(registries, registry.host, { credentials }), SIZE);
    mirror.lie = undefined;
    mirror.blobs.clear();
    assert.equal(await layerFrom(registries, registry.host, { credentials }), SIZE);
  });
});
