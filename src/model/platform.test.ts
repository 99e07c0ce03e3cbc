import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LayerMeter, type LayerProgress } from './layer-progress.ts';
import { matchesPlatform, parsePlatform, platformText } from './platform.ts';
import { atRegistry, canonicalReference, isRegistryName, parseReference, remoteCandidates } from './reference.ts';

test('platforms as people write them', () => {
  const read = (text: string): string => platformText(parsePlatform(text));
  assert.deepEqual(['linux/amd64', 'amd64', 'x86_64', 'linux/arm/v7', 'Linux/AARCH64', 'linux/arm64/v8'].map(read), ['linux/amd64', 'linux/amd64', 'linux/amd64', 'linux/arm/v7', 'linux/arm64', 'linux/arm64/v8']);
  for (const text of ['', '/', 'linux/', 'linux/amd64/v1/x', 'linux/a b', '../../x']) assert.throws(() => parsePlatform(text), { code: 'invalid' }, text);
});

test('platforms that go together', () => {
  const arm64 = parsePlatform('linux/arm64');
  assert.ok(matchesPlatform({ os: 'linux', architecture: 'arm64', variant: 'v8' }, arm64));
  assert.ok(matchesPlatform({ os: 'linux', architecture: 'arm64' }, parsePlatform('linux/arm64/v8')));
  assert.ok(matchesPlatform({}, arm64));
  assert.ok(!matchesPlatform({ os: 'linux', architecture: 'amd64' }, arm64));
  assert.ok(!matchesPlatform({ os: 'windows', architecture: 'arm64' }, arm64));
  assert.ok(!matchesPlatform({ os: 'linux', architecture: 'arm', variant: 'v6' }, parsePlatform('linux/arm/v7')));
});

test('where a name may be found', () => {
  const found = (text: string, search: readonly string[]): string[] => remoteCandidates(parseReference(text), search).map(canonicalReference);
  assert.deepEqual(found('busybox', ['docker.io']), ['docker.io/library/busybox:latest']);
  assert.deepEqual(found('me/app:2', ['docker.io', 'localhost:5000']), ['docker.io/me/app:2', 'localhost:5000/me/app:2']);
  assert.deepEqual(found('docker.io/busybox:1', []), ['docker.io/library/busybox:1']);
  assert.deepEqual(found('registry.example/a/b', ['docker.io']), ['registry.example/a/b:latest']);
  assert.deepEqual(found('busybox', []), []);
  assert.equal(atRegistry(parseReference('a.example/x'), 'b.example').registry, 'a.example');
  assert.deepEqual(['localhost:5000', '[::1]:5000', 'a.example', 'a:65536', 'a b', 'a/b', '', 'http://a'].map(isRegistryName), [true, true, true, false, false, false, false, false]);
});

test('a meter tells of every change, and of bytes ten times a second', () => {
  const told: LayerProgress[] = [];
  let now = 0;
  const meter = new LayerMeter([{ digest: 'a', size: 100 }, { digest: 'a', size: 100 }, { digest: 'b', size: 5 }], (progress) => told.push(progress), () => now);
  for (const bytes of [1, 2, 3]) meter.bytes('a', bytes);
  now = 150;
  meter.bytes('a', 50);
  meter.state('a', 'verifying');
  meter.state('a', 'verifying');
  meter.state('a', 'done');
  meter.bytes('unknown', 1);
  assert.deepEqual(told.map(({ digest, state, bytes }) => `${digest} ${state} ${bytes}`), ['a waiting 0', 'b waiting 0', 'a moving 1', 'a moving 50', 'a verifying 100', 'a done 100']);
  assert.deepEqual(meter.all().map((one) => one.state), ['done', 'waiting']);
});
