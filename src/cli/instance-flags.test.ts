import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldRows } from '../model/define.ts';
import { instanceSpec } from '../model/instance.ts';
import type { Context } from './command.ts';
import { run } from './commands/run.ts';
import { FIELD_FLAGS, metaOf, SPEC_FLAGS, specOf } from './instance-flags.ts';
import { parseWords } from './words.ts';

const context = { env: { HOME: '/root' } } as unknown as Context;
const specFrom = (line: string) => specOf(parseWords([...line.split(' '), 'busybox'], run), context);

test('every field that has a flag in the model has it on the command line, spelled the same', () => {
  const model = fieldRows(instanceSpec).map(({ traits }) => traits).filter((traits) => traits.flag !== undefined);
  assert.ok(model.length > 20);
  for (const traits of model) {
    const flag = FIELD_FLAGS.find((one) => one.name === traits.flag);
    assert.ok(flag !== undefined, `--${traits.flag} is missing`);
    assert.deepEqual([flag.short, flag.value !== undefined, flag.repeat ?? false], [traits.short, traits.value !== undefined, traits.repeat ?? false], traits.flag ?? '');
  }
  for (const flag of FIELD_FLAGS) assert.ok(model.some((traits) => traits.flag === flag.name), `--${flag.name} is no field’s`);
});

test('no two flags of run share a name or a letter', () => {
  const names = run.flags.flatMap((flag) => [flag.name, ...(flag.also ?? [])]);
  const letters = run.flags.flatMap((flag) => flag.short ?? []);
  assert.equal(new Set(names).size, names.length);
  assert.equal(new Set(letters).size, letters.length);
});

test('a full docker command line makes a spec that the model accepts', async () => {
  const line = '-d -i -t --rm --name web -e A=1 -e HOME -v data:/data -v /srv:/srv:ro -p 8080:80 -p 53:53/udp --network front,ip=10.1.0.5 --network back -u 33:33 -w /srv --entrypoint /bin/sh --memory 1g --cpus 0.5 --cpu-weight 200 --pids-limit 100 -l tier=web --hostname host --restart on-failure:3 --stop-signal INT --stop-timeout 5 --init --read-only --isolation container --tmpfs /tmp:size=16m --shm-size 32m --ulimit nofile=1024 --cap-add net_admin --cap-drop CHOWN --disk 1g';
  const words = parseWords([...line.split(' '), 'busybox', 'ls', '-l'], run);
  const spec = await specOf(words, context);
  const { success, error } = instanceSpec.safeParse({ ...spec, image: 'busybox' });
  assert.ok(success, error?.message ?? '');
  assert.deepEqual(spec, {
    stdin: true, terminal: true, removeOnExit: true, isolation: 'container', env: { A: '1', HOME: '/root' },
    volumes: [{ volume: 'data', target: '/data', readOnly: false }, { hostPath: '/srv', target: '/srv', readOnly: true }],
    ports: [{ protocol: 'tcp', targetPort: 80, hostPort: 8080 }, { protocol: 'udp', targetPort: 53, hostPort: 53 }],
    networks: [{ name: 'front', ipv4: '10.1.0.5' }, { name: 'back' }], user: '33:33', workdir: '/srv', hostname: 'host', entrypoint: ['/bin/sh'],
    memoryBytes: 1_073_741_824, cpus: 0.5, cpuWeight: 200, pids: 100, rootDiskBytes: 1_073_741_824, shmBytes: 33_554_432, tmpfs: [{ target: '/tmp', sizeBytes: 16_777_216 }],
    ulimits: { nofile: { soft: 1024, hard: 1024 } }, init: true, readOnlyRoot: true, restart: { policy: 'on-failure', maxRetries: 3 }, stopSignal: 'SIGINT', stopGraceMs: 5000,
    capabilities: { add: ['NET_ADMIN'], drop: ['CHOWN'] },
  });
  assert.deepEqual(metaOf(words), { name: 'web', labels: { tier: 'web' } });
});

test('nothing given, nothing wished: defaults stay the model’s', async () => {
  assert.deepEqual(await specFrom('-d'), {});
});

test('networks', async () => {
  assert.deepEqual((await specFrom('--network none')).networks, []);
  assert.deepEqual((await specFrom('--network a,ip=fd00::5')).networks, [{ name: 'a', ipv6: 'fd00::5' }]);
  await assert.rejects(specFrom('--network none --network a'), /goes with no other/);
  await assert.rejects(specFrom('--network a,mac=x'), /'mac=x' is not known/);
});

test('--vm is short for an isolation, and may not contradict it', async () => {
  assert.deepEqual(await specFrom('--vm'), { isolation: 'vm' });
  await assert.rejects(specFrom('--vm --isolation container'), /contradict/);
  await assert.rejects(specFrom('--isolation microvm'), /not a boundary/);
});

test('an empty entrypoint takes the image’s away', async () => {
  assert.deepEqual(await specFrom('--entrypoint='), { entrypoint: [] });
});

test('every flag says what it is for', () => {
  for (const flag of SPEC_FLAGS) assert.ok(flag.help.endsWith('.'), flag.name);
});
