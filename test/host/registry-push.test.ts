/** Pushing to a registry that lies, breaks or will not listen: an error in the end, and no name for what is not whole. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sampleImage, type Sample } from '../../src/drivers/registry/contract.ts';
import { openOciRegistries } from '../../src/drivers/registry/oci/oci-registries.ts';
import { BerthError } from '../../src/model/errors.ts';
import { parseReference } from '../../src/model/reference.ts';
import { startLyingRegistry, type Ask, type Lie, type LyingRegistry } from '../lib/lying-registry.ts';

/** Takes everything, and keeps nothing. */
const takes: Lie = (ask, response) => {
  if (ask.method === 'POST' || ask.method === 'PATCH') response.writeHead(202, { location: '/v2/a/blobs/uploads/1' }).end();
  else if (ask.method === 'PUT') response.writeHead(201).end();
  else return false;
  return true;
};

async function push(lie: (registry: LyingRegistry) => Lie, image: Sample = sampleImage()): Promise<{ readonly outcome: unknown; readonly asked: readonly Ask[]; readonly waitsMs: readonly number[] }> {
  await using registry = await startLyingRegistry();
  const [own, honest] = [lie(registry), takes];
  registry.lie = (ask, response) => own(ask, response) || honest(ask, response);
  const waitsMs: number[] = [];
  await using registries = openOciRegistries({ wait: async (ms) => void waitsMs.push(ms), random: () => 0.5 });
  const outcome = await registries.push(parseReference(`${registry.host}/a:1`), image).catch((error: unknown) => error);
  return { outcome, asked: registry.asked, waitsMs };
}

function failed(outcome: unknown, code: string, words: RegExp): void {
  assert.ok(outcome instanceof BerthError, `it went well: ${JSON.stringify(outcome)}`);
  assert.equal(outcome.code, code, outcome.message);
  assert.match(outcome.message, words);
}

const named = (asked: readonly Ask[]): readonly Ask[] => asked.filter((ask) => ask.method === 'PUT' && ask.path.includes('/manifests/'));

describe('a push', () => {
  it('to a registry that takes everything', async () => {
    const image = sampleImage();
    const { outcome, asked } = await push(() => () => false, image);
    assert.deepEqual(outcome, { digest: image.manifest.digest });
    assert.equal(asked.at(-1), named(asked)[0], 'the name comes last');
  });

  it('is not well when the registry stored something else', async () => {
    const { outcome } = await push(() => (ask, response) => ask.path.includes('/manifests/') && (response.writeHead(201, { 'docker-content-digest': `sha256:${'0'.repeat(64)}` }).end(), true));
    failed(outcome, 'invalid', /stored sha256:0{64}/);
  });

  it('needs a place where an upload goes on', async () => {
    const { outcome, asked } = await push(() => (ask, response) => ask.method === 'POST' && (response.writeHead(202).end(), true));
    failed(outcome, 'invalid', /does not say where/);
    assert.deepEqual(named(asked), []);
  });

  it('ends when a registry breaks each time', async () => {
    const { outcome, asked, waitsMs } = await push(() => (ask, response) => ask.method === 'PATCH' && (response.writeHead(500).end(), true), sampleImage({ layers: [] }));
    failed(outcome, 'unavailable', /500/);
    assert.ok(asked.length <= 16, `${asked.length} requests`);
    assert.ok(waitsMs.some((ms) => ms >= 500));
    assert.deepEqual(named(asked), []);
  });

  it('goes on after a registry broke once', async () => {
    const { outcome } = await push(() => (ask, response) => {
      if (ask.method === 'GET') return (response.writeHead(204, { range: '0-0', location: ask.path }).end(), true);
      return ask.before === 0 && (ask.method === 'PATCH' || ask.method === 'PUT') && (response.writeHead(503, { 'retry-after': '1' }).end(), true);
    });
    assert.ok(!(outcome instanceof Error), String(outcome));
  });

  it('stops sending when the registry does not want it', async () => {
    const image = sampleImage({ layers: [64 * 1024 * 1024] });
    let handed = 0;
    const counted: Sample = { ...image, async *read(digest) { for await (const chunk of image.read(digest)) { handed += chunk.length; yield chunk; } } };
    const { outcome, asked } = await push(() => (ask, response) => ask.method === 'PATCH' && Number(ask.headers['content-length']) > 1_000_000 && (response.writeHead(413, { 'content-type': 'application/json' }).end('{"errors":[{"code":"SIZE_INVALID","message":"too large"}]}'), true), counted);
    failed(outcome, 'exhausted', /SIZE_INVALID: too large/);
    assert.deepEqual(named(asked), []);
    assert.ok(handed <= 64 * 1024 * 1024 + 1000);
  });

  it('does not name what was not whole', async () => {
    for (const change of [-1, 1]) {
      const image = sampleImage();
      const wrong: Sample = { ...image, async *read(digest) { const bytes = image.content.get(digest)!; yield change < 0 ? bytes.subarray(1) : bytes; if (change > 0) yield Buffer.alloc(1); } };
      const { outcome, asked } = await push(() => () => false, wrong);
      failed(outcome, 'invalid', /bytes/);
      assert.deepEqual(named(asked), []);
    }
  });

  it('is not led astray by what a registry says in an error', async () => {
    const { outcome } = await push(() => (ask, response) => ask.method === 'POST' && (response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ errors: [{ code: 'X\u001b]52;c;aGk=\u0007', message: `line\nbreak ${'y'.repeat(5000)}` }] })), true));
    failed(outcome, 'invalid', /answered 400/);
    assert.ok(outcome instanceof BerthError && outcome.message.length < 500 && !/[\u0000-\u001f\u007f]/.test(outcome.message), JSON.stringify((outcome as Error).message));
  });
});
