import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../model/errors.ts';
import * as values from './instance-values.ts';

function table<T>(read: (text: string) => T, good: Readonly<Record<string, T>>, bad: Readonly<Record<string, RegExp>>): void {
  for (const [text, value] of Object.entries(good)) assert.deepEqual(read(text), value, text);
  for (const [text, message] of Object.entries(bad)) {
    assert.throws(() => read(text), (error) => error instanceof BerthError && error.code === 'invalid' && message.test(`${error.message} ${error.hint ?? ''}`), text);
  }
}

const port = (targetPort: number, more: object = {}) => ({ protocol: 'tcp', targetPort, ...more });

test('ports to publish, as docker writes them', () => {
  table<unknown>(values.portValues, {
    '80': [port(80)],
    '8080:80': [port(80, { hostPort: 8080 })],
    '127.0.0.1:8080:80': [port(80, { hostPort: 8080, hostAddress: '127.0.0.1' })],
    '0.0.0.0:80:80': [port(80, { hostPort: 80, hostAddress: '0.0.0.0' })],
    '127.0.0.1::80': [port(80, { hostAddress: '127.0.0.1' })],
    '[::1]:8080:80': [port(80, { hostPort: 8080, hostAddress: '::1' })],
    '[::]:80:80/udp': [{ protocol: 'udp', targetPort: 80, hostPort: 80, hostAddress: '::' }],
    '53:53/udp': [{ protocol: 'udp', targetPort: 53, hostPort: 53 }],
    '80/TCP': [port(80)],
    '0:80': [port(80)],
    '8000-8001:80-81': [port(80, { hostPort: 8000 }), port(81, { hostPort: 8001 })],
    '9000-9001': [port(9000), port(9001)],
  }, {
    '80/sctp': /neither tcp nor udp/,
    'x': /not a port to publish/,
    '': /not a port to publish/,
    '70000': /up to 65535/,
    '::1:80:80': /brackets/,
    '80:': /not a port/,
    '8000-8001:80': /not equally long/,
    '90-80': /ends before it begins/,
    '1-60000': /at most 128/,
  });
});

test('volumes and directories of the host', () => {
  table<unknown>(values.volumeValue, {
    'data:/var/lib/data': { volume: 'data', target: '/var/lib/data', readOnly: false },
    'data:/d:ro': { volume: 'data', target: '/d', readOnly: true },
    'data:/d:rw': { volume: 'data', target: '/d', readOnly: false },
    '/srv/www:/www:ro': { hostPath: '/srv/www', target: '/www', readOnly: true },
  }, {
    '/data': /needs a name and a directory/,
    'data': /needs a name and a directory/,
    'data:': /needs a name and a directory/,
    'data:dir': /must be absolute/,
    './x:/x': /a directory of the host must be absolute/,
    'data:/d:Z': /'Z' is not known/,
    'a:/b:ro:x': /needs a name/,
  });
});

test('limits', () => {
  table<unknown>(values.ulimitValue, {
    'nofile=1024:65536': ['nofile', { soft: 1024, hard: 65_536 }],
    'nproc=512': ['nproc', { soft: 512, hard: 512 }],
    'core=-1': ['core', { soft: -1, hard: -1 }],
    'memlock=64:unlimited': ['memlock', { soft: 64, hard: -1 }],
  }, {
    'nofle=1': /Did you mean nofile/,
    'nofile': /not a limit/,
    'nofile=10:5': /above the hard one/,
    'nofile=-1:5': /above the hard one/,
  });
});

test('memory-backed directories', () => {
  table<unknown>(values.tmpfsValue, { '/tmp': { target: '/tmp', sizeBytes: 67_108_864 }, '/tmp:size=16m': { target: '/tmp', sizeBytes: 16_777_216 } }, { 'tmp': /must be absolute/, '/tmp:mode=1777': /'mode=1777' is not known/, '/tmp:size=x': /no size/ });
});

test('restart policies', () => {
  table<unknown>(values.restartValue, {
    'no': { policy: 'no' }, 'always': { policy: 'always' }, 'unless-stopped': { policy: 'unless-stopped' },
    'on-failure': { policy: 'on-failure' }, 'on-failure:3': { policy: 'on-failure', maxRetries: 3 },
  }, { 'allways': /Did you mean always/, 'always:3': /only on-failure/, 'on-failure:x': /not a whole number/, 'on-failure:1:2': /not a policy/ });
});

test('signals by name and number', () => {
  table<unknown>((text) => values.signalValue('signal', text), { SIGTERM: 'SIGTERM', term: 'SIGTERM', HUP: 'SIGHUP', 9: 'SIGKILL', 15: 'SIGTERM', 'RTMIN+3': 'SIGRTMIN+3' }, { 99: /no signal/, '': /not the name/, 'a b': /not the name/ });
});

test('sizes, numbers and durations', () => {
  assert.equal(values.bytesValue('memory', '512m'), 536_870_912);
  assert.equal(values.bytesValue('memory', '1073741824'), 1_073_741_824);
  assert.throws(() => values.bytesValue('memory', '1x'), /--memory: .*unknown unit/);
  assert.equal(values.durationValue('stop-timeout', '10'), 10_000);
  assert.equal(values.durationValue('stop-timeout', '1m30s'), 90_000);
  assert.equal(values.numberValue('cpus', '0.5'), 0.5);
  assert.equal(values.numberValue('cpus', '.5'), 0.5);
  assert.throws(() => values.numberValue('cpus', '1e9'), /not a number/);
  assert.throws(() => values.integerValue('pids-limit', '1.5'), /not a whole number/);
});

test('environment: values, names that take the caller’s value, files', () => {
  assert.deepEqual(values.environmentPairs('env', ['A=1', 'B=', 'C=x=y', 'HOME', 'MISSING'], { HOME: '/root' }), { A: '1', B: '', C: 'x=y', HOME: '/root' });
  assert.throws(() => values.environmentPairs('env', ['1A=2'], {}), /not a name/);
  assert.deepEqual(values.environmentLines('# comment\nA=1\r\n\n  B="two words"\nC=#no comment\n'), ['A=1', 'B="two words"', 'C=#no comment']);
});

test('labels and capabilities', () => {
  assert.deepEqual(values.labelPairs(['tier=web', 'a.b/c', 'x=1=2']), { tier: 'web', 'a.b/c': '', x: '1=2' });
  assert.throws(() => values.labelPairs(['=x']), /not a name of a label/);
  assert.equal(values.capabilityValue('cap-add', 'cap_net_admin'), 'NET_ADMIN');
  assert.throws(() => values.capabilityValue('cap-add', '1'), /not the name/);
});
