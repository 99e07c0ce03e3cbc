/** Systems of their own making: a Debian with its own GRUB and kernel under BIOS and under UEFI, and iPXE on devices of another age. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { debianDisk } from '../lib/debian-disk.ts';
import { decodePng, type Dots } from '../lib/png-dots.ts';
import { until } from '../lib/until.ts';

/** Emulated, on a machine that others keep busy. */
const PATIENCE_MS = 400_000;

describe('systems that nobody prepared', { timeout: 1_200_000 }, () => {
  let daemon: TestDaemon;

  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await ok('image', 'import', await debianDisk(), '--as', 'foreign', '--disk', 'raw');
    await ok('image', 'import', '/usr/lib/ipxe/ipxe.iso', '--as', 'ipxe', '--disk', 'iso');
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  async function ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await berth(daemon, args, { timeoutMs: PATIENCE_MS });
    assert.equal(code, 0, `berth ${args.join(' ')}: ${code}\n${stdout}\n${stderr}\n${daemon.log.slice(-2000)}`);
    return stdout;
  }
  const status = async (name: string) => (await daemon.instance(name)).status;
  const consoleOf = (name: string, words: RegExp): Promise<string> => until(async () => {
    const text = await ok('logs', name);
    return words.test(text) ? text : undefined;
  }, { deadlineMs: PATIENCE_MS, intervalMs: 1_000, what: `${words} on the console of ${name}` });
  const screenOf = async (name: string): Promise<Dots> => {
    const file = path.join(daemon.base, `${name}.png`);
    await ok('console', name, '--screenshot', file);
    return decodePng(fs.readFileSync(file));
  };

  test('a Debian disk boots to its login prompt by BIOS and by UEFI, has its address by DHCP and sees its seed', async () => {
    const userData = path.join(daemon.base, 'user-data');
    fs.writeFileSync(userData, '#cloud-config\nwrite_files:\n  - {path: /srv/note, content: from the seed}\n');
    for (const firmware of ['bios', 'uefi']) await ok('launch', '--vm', '--firmware', firmware, '--restart', 'no', '--memory', '512m', '--user-data', userData, 'foreign', firmware);
    for (const firmware of ['bios', 'uefi']) {
      const text = await consoleOf(firmware, /foreign login:/);
      assert.match(text, /GRUB[^]*Linux version/);
      assert.match(text, new RegExp(`firmware: ${firmware}`));
      assert.match(text, /^meta-data: .*local-hostname/m);
      assert.match(text, /^user-data: #cloud-config/m);
      assert.match(text, /from the seed/);
      const { state, form, addresses, kernel } = await status(firmware);
      assert.deepEqual([state, form, kernel], ['running', 'vm', undefined]);
      for (const address of addresses.default as string[]) {
        assert.ok(text.includes(`${address}/`), `${address}\n${text}`);
        assert.equal(await daemon.fromTheHost(['curl', '-sS', '--max-time', '20', `http://${address.includes(':') ? `[${address}]` : address}/`], 60_000), 'hello from a foreign disk\n');
      }
    }
    const root = path.join(daemon.rootDir, 'pool/roots');
    assert.deepEqual((await Promise.all(['bios', 'uefi'].map(async (name) => fs.existsSync(path.join(root, (await daemon.instance(name)).meta.id, 'vars.fd'))))), [false, true]);
  });

  test('instance.screenshot: what is on the screen, as a picture', async () => {
    for (const name of ['bios', 'uefi']) {
      const screen = await screenOf(name);
      assert.ok(screen.drawnRows > 30 && screen.colours.size > 1, JSON.stringify([name, screen.width, screen.height, screen.drawnRows, [...screen.colours]]));
    }
  });

  test('no agent: what it could do is refused, what works from outside works', async () => {
    for (const args of [['exec', 'bios', 'true'], ['cp', 'bios:/etc/hostname', path.join(daemon.base, 'x')]]) {
      const { code, stderr } = await berth(daemon, args);
      assert.notEqual(code, 0);
      assert.match(stderr, /bios has no agent: it runs a disk image\..*console/s);
    }
    await ok('pause', 'bios');
    await ok('resume', 'bios');
    // Its own balloon driver answers.
    await ok('update', 'bios', '--memory', '400m');
    const before = await status('bios');
    await daemon.kill();
    await daemon.up();
    assert.deepEqual([(await status('bios')).pid, (await status('bios')).state], [before.pid, 'running']);
    const [address] = before.addresses.default as string[];
    assert.equal(await daemon.fromTheHost(['curl', '-sS', '--max-time', '20', `http://${address}/`], 60_000), 'hello from a foreign disk\n');
    await ok('stop', '-t', '120', 'bios');
    assert.deepEqual([(await status('bios')).state, (await status('bios')).reason, (await status('bios')).exitCode], ['stopped', 'poweroff', 0]);
    assert.match(await ok('logs', 'bios'), /the power button was pressed/);
    await ok('rm', 'bios');
  });

  test('a kernel that panics is told as one', async () => {
    const [address] = (await status('uefi')).addresses.default as string[];
    await daemon.fromTheHost(['curl', '-sS', '--max-time', '5', `http://${address}/cgi-bin/panic`], 60_000).catch(() => undefined); // nobody answers any more
    await until(async () => (await status('uefi')).state === 'stopped', { deadlineMs: PATIENCE_MS, what: 'the end' });
    assert.deepEqual([(await status('uefi')).reason, (await status('uefi')).exitCode], ['panic', 1]);
    assert.match(await ok('list', '-a'), /^uefi +VM +stopped \(panic\)/m);
    await ok('rm', 'uefi');
  });

  test('iPXE from a CD on AHCI, with an address for its e1000', async () => {
    await ok('launch', '--vm', '--machine-preset', 'ahci-e1000', '--memory', '128m', '--disk', '16m', 'ipxe', 'net');
    const { addresses } = await status('net');
    const [address] = addresses.default as string[];
    const leases = path.join(daemon.runDir, 'networks');
    const said = (): string => fs.readdirSync(leases).map((id) => fs.readFileSync(path.join(leases, id, 'leases'), 'utf8')).join('');
    await until(() => said().includes(` ${address} `), { deadlineMs: PATIENCE_MS, intervalMs: 250, what: 'a lease' });
    const screen = await screenOf('net');
    assert.deepEqual([screen.width, screen.height], [720, 400]);
    // Its name in white, the address of its makers in cyan, the rest in grey, on black.
    for (const [colour, least] of [['#a8a8a8', 5_000], ['#ffffff', 300], ['#00a8a8', 100], ['#000000', 200_000]] as const) assert.ok((screen.colours.get(colour) ?? 0) > least, JSON.stringify([...screen.colours]));
    assert.ok(screen.drawnRows > 60, `${screen.drawnRows} rows`);
    await ok('rm', '-f', 'net');
    await daemon.untilNoLeaks();
  });
});
