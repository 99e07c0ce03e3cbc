import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BerthError } from '../../../model/errors.ts';
import { parseIndex, parseManifest } from '../../../model/image-manifest.ts';
import { hostArchitecture, parseConfig } from './image-config.ts';
import { signalName } from './signal-name.ts';

const D = `sha256:${'a'.repeat(64)}`;
const json = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip', OCI_CONFIG = 'application/vnd.oci.image.config.v1+json', OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const layer = { mediaType: OCI_LAYER, digest: D, size: 10 };
const config = { mediaType: OCI_CONFIG, digest: D, size: 10 };
const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] };
const image = { architecture: hostArchitecture(), os: 'linux', config: { Cmd: ['sh'] }, rootfs: { type: 'layers', diff_ids: [D] } };
const withConfig = (more: Readonly<Record<string, unknown>>) => json({ ...image, config: more });

const refused = (code: string) => (error: unknown) => error instanceof BerthError && error.code === code && error.hint !== undefined;

describe('manifests', () => {
  it('gives layers with their compression', () => {
    assert.deepEqual(parseManifest(json(manifest)).layers.map((one) => one.compression), ['gzip']);
    assert.equal(parseManifest(json({ ...manifest, unknown: 1 })).mediaType, OCI_MANIFEST);
  });

  it('refuses what could be understood in two ways, or is no image', () => {
    const cases: readonly (readonly [string, unknown, string, string?])[] = [
      ['layers and manifests at once', { ...manifest, manifests: [] }, 'invalid'],
      ['another type than its descriptor', manifest, 'invalid', 'application/vnd.docker.distribution.manifest.v2+json'],
      ['an index as a manifest', { ...manifest, mediaType: 'application/vnd.oci.image.index.v1+json' }, 'invalid'],
      ['a config of another kind', { ...manifest, config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' } }, 'unsupported'],
      ['a foreign layer', { ...manifest, layers: [{ ...layer, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }] }, 'unsupported'],
      ['a layer with urls', { ...manifest, layers: [{ ...layer, urls: ['http://169.254.169.254/'] }] }, 'invalid'],
      ['schema 1', { ...manifest, schemaVersion: 1 }, 'invalid'],
      ['129 layers', { ...manifest, layers: Array.from({ length: 129 }, () => layer) }, 'invalid'],
      ['a digest in upper case', { ...manifest, layers: [{ ...layer, digest: D.replace('a', 'A') }] }, 'invalid'],
      ['sha512', { ...manifest, layers: [{ ...layer, digest: `sha512:${'a'.repeat(128)}` }] }, 'invalid'],
      ['a negative size', { ...manifest, layers: [{ ...layer, size: -1 }] }, 'invalid'],
      ['a size beyond 2^53', JSON.stringify(manifest).replace('"size":10', '"size":1e400'), 'invalid'],
      ['a key twice', JSON.stringify(manifest).replace('{', '{"schemaVersion":2,'), 'invalid'],
      ['a prototype', JSON.stringify(manifest).replace('{', '{"__proto__":{},'), 'invalid'],
      ['depth', `${'['.repeat(10_000)}${']'.repeat(10_000)}`, 'invalid'],
      ['more than 4 MiB', `"${'x'.repeat(5 * 1024 * 1024)}"`, 'invalid'],
      ['no JSON', '{', 'invalid'],
    ];
    for (const [name, value, code, type] of cases) assert.throws(() => parseManifest(json(value), type), refused(code), name);
  });

  it('reads an index, and refuses one that is a manifest as well', () => {
    assert.equal(parseIndex(json({ schemaVersion: 2, manifests: [{ mediaType: OCI_MANIFEST, digest: D, size: 1 }] })).length, 1);
    assert.throws(() => parseIndex(json({ schemaVersion: 2, manifests: [], layers: [] })), refused('invalid'));
  });
});

describe('configs', () => {
  it('takes Go’s nulls for absent lists', () => {
    const { config: checked } = parseConfig(withConfig({ Env: null, Entrypoint: null, Cmd: null, Labels: null, Volumes: null, ExposedPorts: null, User: '', WorkingDir: '' }), 1);
    assert.deepEqual([checked.env, checked.entrypoint, checked.command, checked.labels, checked.volumes], [[], [], [], {}, []]);
    assert.deepEqual(parseConfig(json({ ...image, config: undefined }), 1).config.command, []);
  });

  it('keeps known fields, in their own names', () => {
    const { config: checked, diffIds } = parseConfig(withConfig({ User: 'web', Env: ['A=1=2'], Entrypoint: ['/e'], WorkingDir: '/srv', ExposedPorts: { '80/tcp': {} }, Volumes: { '/data': {} }, StopSignal: '15', Labels: { a: 'line\nbreak' }, OnBuild: ['RUN x'], Healthcheck: { Interval: 1 } }), 1);
    assert.deepEqual({ ...checked }, { architecture: hostArchitecture(), os: 'linux', entrypoint: ['/e'], command: [], env: ['A=1=2'], workdir: '/srv', user: 'web', exposedPorts: ['80/tcp'], volumes: ['/data'], labels: { a: 'line\nbreak' }, stopSignal: 'SIGTERM' });
    assert.deepEqual(diffIds, [D]);
  });

  it('refuses hostile ones', () => {
    const cases: readonly (readonly [string, Uint8Array, string, number?])[] = [
      ['another number of layers', json(image), 'invalid', 2],
      ['a million variables', withConfig({ Env: Array.from({ length: 100_000 }, () => 'A=1') }), 'invalid'],
      ['a variable without a name', withConfig({ Env: ['=x'] }), 'invalid'],
      ['a line break in the name of a variable', withConfig({ Env: ['A\nB=x'] }), 'invalid'],
      ['NUL in a value', withConfig({ Env: ['A=\0'] }), 'invalid'],
      ['a lone surrogate', Buffer.from(JSON.stringify(image).replace('"sh"', '"\\ud800"')), 'invalid'],
      ['a volume that leads out', withConfig({ Volumes: { '../../etc': {} } }), 'invalid'],
      ['a working directory that leads out', withConfig({ WorkingDir: '/a/../..' }), 'invalid'],
      ['an unknown signal', withConfig({ StopSignal: '9999' }), 'invalid'],
      ['a user with a line break', withConfig({ User: '0\n' }), 'invalid'],
      ['an entrypoint that is text', withConfig({ Entrypoint: 'sh -c x' }), 'invalid'],
      ['windows', json({ ...image, os: 'windows' }), 'unsupported'],
      ['another architecture', json({ ...image, architecture: 's390x' }), 'unsupported'],
    ];
    for (const [name, bytes, code, layers] of cases) assert.throws(() => parseConfig(bytes, layers ?? 1), refused(code), name);
  });
});

describe('signalName', () => {
  it('knows names, numbers and real-time signals', () => {
    assert.deepEqual(['SIGTERM', 'QUIT', '9', 'SIGRTMIN+3', '37', 'RTMAX-1', '0', '65', 'SIGRTMIN+31', 'SIGNONE', ''].map(signalName),
      ['SIGTERM', 'SIGQUIT', 'SIGKILL', 'SIGRTMIN+3', 'SIGRTMIN+3', 'SIGRTMAX-1', undefined, undefined, undefined, undefined, undefined]);
  });
});
