/** What a root is made of: layers, uppers, streams; and what the host sees of it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { withCrunBench } from '../lib/crun-bench.ts';

test('ids on disk are unshifted, and a deletion is a whiteout', () => withCrunBench(async (bench) => {
  fs.mkdirSync(path.join(bench.layer, 'data'));
  for (const name of ['gone', 'changed']) fs.writeFileSync(path.join(bench.layer, 'data', name), 'from the image\n');
  fs.chownSync(path.join(bench.layer, 'data/changed'), 33, 33);
  const plan = bench.plan(['sh', '-c', 'stat -c "%u %g" /data/changed; echo more >> /data/changed; rm /data/gone; touch /new; chown 1000:1001 /new; mkdir /dir']);
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  assert.equal((await bench.driver.waitExit(plan.id)).exitCode, 0);
  const up = path.join(plan.root.upperDir!, 'up');
  const of = (name: string): readonly number[] => {
    const { uid, gid } = fs.lstatSync(path.join(up, name));
    return [uid, gid];
  };
  assert.deepEqual([of('data/changed'), of('new'), of('dir'), of('.')], [[33, 33], [1000, 1001], [0, 0], [0, 0]]);
  const whiteout = fs.lstatSync(path.join(up, 'data/gone'));
  assert.ok(whiteout.isCharacterDevice() && whiteout.rdev === 0);
  assert.equal(fs.readFileSync(path.join(bench.layer, 'data/changed'), 'utf8'), 'from the image\n', 'the layer is as it was');
}));

test('the host sees none of the mounts, while they are there and after', () => withCrunBench(async (bench) => {
  const table = (): string => fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(bench.rootDir)).join('\n');
  const plan = bench.plan(['sleep', '1000'], { mounts: [{ source: bench.volumeDir(), target: '/v', readOnly: false }] });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  assert.equal(table(), '');
  assert.deepEqual(fs.readdirSync(path.join(bench.runDir, 'm')), []);
  await bench.driver.remove(plan.id, { keepLog: false });
  assert.equal(table(), '');
}));

test('a root of many layers: the highest that has a file decides', () => withCrunBench(async (bench) => {
  const layers = [bench.layer, ...Array.from({ length: 63 }, (_, n) => {
    const dir = path.join(bench.rootDir, `l${n}`);
    fs.mkdirSync(dir, { mode: 0o755 });
    fs.writeFileSync(path.join(dir, 'which'), `${n}\n`);
    fs.writeFileSync(path.join(dir, `only-${n}`), '');
    return dir;
  })];
  const { stdout } = await bench.run(['sh', '-c', 'cat /which; ls / | grep -c only'], { root: { layers } });
  assert.equal(stdout, '62\n63\n');
}));

test('a root without an upper: what is written is gone with it', () => withCrunBench(async (bench) => {
  for (let round = 0; round < 2; round++) {
    const { stdout } = await bench.run(['sh', '-c', 'ls /x 2>/dev/null; echo y > /x; cat /x'], { root: { upperDir: undefined } });
    assert.equal(stdout, 'y\n');
  }
}));

test('streams can be opened by name, as root and as a plain user', () => withCrunBench(async (bench) => {
  const script = ['sh', '-c', 'echo out > /dev/stdout; echo err > /dev/stderr'];
  const user = { uid: 1000, gid: 1000, additionalGids: [] };
  const keeper = bench.plan(['sleep', '1000']);
  await bench.driver.create(keeper);
  await bench.driver.start(keeper.id);
  for (const seen of [await bench.run(script), await bench.run(script, { process: { user } }), await bench.exec(keeper.id, script), await bench.exec(keeper.id, script, { user })]) {
    assert.deepEqual([seen.stdout, seen.stderr], ['out\n', 'err\n']);
  }
}));

test('signals are as a program expects them: a closed pipe ends it', () => withCrunBench(async (bench) => {
  const { stdout } = await bench.run(['sh', '-c', 'grep SigIgn /proc/self/status; yes | head -1']);
  assert.equal(stdout, 'SigIgn:\t0000000000000000\ny\n');
}));

test('name files belong to root inside, hold the plan, and cannot be written', () => withCrunBench(async (bench) => {
  const { stdout } = await bench.run(['sh', '-c', 'for f in hosts hostname resolv.conf; do stat -c "%n %u %a" /etc/$f; done; cat /etc/hostname /etc/resolv.conf; grep inside /etc/hosts; echo x >> /etc/hosts || echo held'], {
    network: { interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1500, gateways: [], addresses: [{ address: '10.1.2.3', prefixLength: 24 }] }], nameservers: ['10.1.2.1'], searchDomains: ['p.berth'] },
  });
  assert.equal(stdout, '/etc/hosts 0 644\n/etc/hostname 0 644\n/etc/resolv.conf 0 644\ninside\nsearch p.berth\nnameserver 10.1.2.1\n10.1.2.3 inside\nheld\n');
}));

test('a quota of CPU time holds', () => withCrunBench(async (bench) => {
  const plan = bench.plan(['sh', '-c', 'while true; do :; done'], { resources: { memoryBytes: 64 * 1024 * 1024, cpuWeight: 100, cpus: 0.1, pids: 16 } });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  const used = async (): Promise<number> => (await bench.driver.stats([plan.id])).get(plan.id)!.cpuNanoseconds / 1e6;
  const before = await used(), begin = performance.now();
  // Waits by doing: other containers come and go meanwhile.
  while (performance.now() - begin < 1000) await bench.exec(plan.id, ['true']);
  const share = (await used() - before) / (performance.now() - begin);
  assert.ok(share < 0.2, `${share} of a CPU`);
}));

test('Ctrl-C on a terminal reaches the command, with an init and without', () => withCrunBench(async (bench) => {
  for (const init of [true, false]) {
    const plan = bench.plan(['sh', '-c', 'trap "echo got it; exit 9" INT; echo ready; while true; do sleep 0.05; done'], { init, stdin: true, process: { terminal: true } });
    await bench.driver.create(plan);
    const session = await bench.driver.attach(plan.id);
    await bench.driver.start(plan.id);
    let seen = '';
    for await (const { data } of session.output) {
      seen += Buffer.from(data).toString();
      if (seen.endsWith('ready\r\n')) await session.write(Buffer.from('\u0003'));
    }
    assert.match(seen, /got it\r\n$/);
    assert.equal((await bench.driver.waitExit(plan.id)).exitCode, 9);
    await session.close();
  }
}));
