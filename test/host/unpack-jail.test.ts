/** What the unpacker's process may do is looked at from outside while it waits for input, and what its layer means is looked at through an overlay. */
import assert from 'node:assert/strict';
import { spawn, execFileSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { extendedAttribute } from '../../src/host/libc.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import { attributeLayer } from '../lib/hostile-layers.ts';
import { builtNativeProgram } from '../lib/native-build.ts';
import { nativeWithoutRule } from '../lib/native-without-rule.ts';
import { dir, file, layerTar } from '../lib/image-builder.ts';
import { until } from '../lib/until.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-jail-'));
let program = '';
before(async () => { program = await builtNativeProgram(); });
after(() => removeTree(root));

const fresh = () => fs.mkdtempSync(path.join(root, 'layer-'));
const NAMESPACES = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts'];

interface Inside {
  readonly namespaces: readonly string[];
  readonly status: Readonly<Record<string, string>>;
  readonly uidMap: string;
  readonly root: string;
  readonly environ: string;
  readonly descriptors: readonly string[];
  readonly limits: string;
}

/** Starts the job with nothing to read yet, and looks at the process that waits for it. */
async function whileWaiting<T>(what: string, look: (inside: Inside, outer: ChildProcess, pid: number) => T | Promise<T>): Promise<T> {
  const target = fresh();
  const directory = fs.openSync(target, 'r');
  const child = spawn(what, ['unpack', 'none', '1000000', '1000', '200', '60'], { stdio: ['pipe', 'pipe', 'pipe', directory], env: { SECRET: 'seen' } });
  fs.closeSync(directory);
  try {
    const pid = await until(() => waitingProcess(child.pid!, what === program), { what: 'the job reading' });
    const status = Object.fromEntries(fs.readFileSync(`/proc/${pid}/status`, 'utf8').split('\n').map((line) => line.split(':\t') as [string, string]));
    return await look({
      namespaces: NAMESPACES.map((name) => fs.readlinkSync(`/proc/${pid}/ns/${name}`)), status,
      uidMap: fs.readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().replace(/\s+/g, ' '), root: fs.readdirSync(`/proc/${pid}/root`).join(),
      environ: fs.readFileSync(`/proc/${pid}/environ`, 'utf8'), descriptors: fs.readdirSync(`/proc/${pid}/fd`), limits: fs.readFileSync(`/proc/${pid}/limits`, 'utf8'),
    }, child, pid);
  } finally {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
  }
}

/** The process whose reader thread sits in read(0): with a jail it is the child of the one that was started. */
function waitingProcess(outer: number, jailed: boolean): number | undefined {
  const candidates = fs.readFileSync(`/proc/${outer}/task/${outer}/children`, 'utf8').split(' ').filter((text) => text !== '').map(Number);
  return [...candidates, ...(jailed ? [] : [outer])].find((pid) => {
    const tasks = fs.readdirSync(`/proc/${pid}/task`);
    return tasks.length === 2 && tasks.some((task) => fs.readFileSync(`/proc/${pid}/task/${task}/syscall`, 'utf8').startsWith('0 0x0 ')) && tasks.some((task) => fs.readFileSync(`/proc/${pid}/task/${task}/syscall`, 'utf8').startsWith('202 '));
  });
}

const own = NAMESPACES.map((name) => fs.readlinkSync(`/proc/self/ns/${name}`));

describe('the jail of the unpacker', () => {
  it('has namespaces, a root and rights of its own before it reads the first byte', async () => {
    await whileWaiting(program, (inside) => {
      assert.deepEqual(inside.namespaces.filter((name) => own.includes(name)), []);
      assert.equal(inside.uidMap, '0 0 65536');
      assert.equal(inside.root, '');
      assert.equal(inside.status['Seccomp'], '2');
      assert.equal(inside.status['NoNewPrivs'], '1');
      // CHOWN DAC_OVERRIDE FOWNER FSETID SETFCAP
      for (const set of ['CapEff', 'CapPrm', 'CapBnd']) assert.equal(inside.status[set], '000000008000001b', set);
      for (const set of ['CapInh', 'CapAmb']) assert.equal(inside.status[set], '0000000000000000', set);
      assert.deepEqual(inside.descriptors.toSorted(), ['0', '1', '2', '3']);
      assert.match(inside.limits, /Max core file size\s+0\s+0/);
      assert.match(inside.limits, /Max open files\s+2200\s+2200/);
      assert.match(inside.limits, /Max address space\s+671088640/);
    });
  });

  it('is seen without its walls when they are not built', async () => {
    const open = await nativeWithoutRule(root, 'JAIL');
    await whileWaiting(open, (inside) => {
      assert.deepEqual(inside.namespaces, own);
      assert.equal(inside.status['Seccomp'], '0');
      assert.notEqual(inside.root, '');
    });
    const unfiltered = await nativeWithoutRule(root, 'SYSCALL_FILTER');
    await whileWaiting(unfiltered, (inside) => assert.equal(inside.status['Seccomp'], '0'));
  });

  it('ends with the process that started it', async () => {
    const pid = await whileWaiting(program, (_inside, _outer, inner) => inner);
    await until(() => !fs.existsSync(`/proc/${pid}`), { what: 'the end of the jail' });
  });

  it('kills a layer that wants a device node made, even if the rule were missing', async () => {
    const unruly = await nativeWithoutRule(root, 'DEVICE_NODE');
    const target = fresh();
    const tar = layerTar([{ path: 'sda', type: 'block', major: 8, minor: 0 }]);
    await assert.rejects(createNativeUnpacker({ program: unruly }).unpack({ stream: one(tar), compression: 'none' }, target), /signal 31/);
    assert.deepEqual(fs.readdirSync(target), []);
    const report = await createNativeUnpacker().unpack({ stream: one(tar), compression: 'none' }, target);
    assert.match(report.notes[0]!, /sda: device node 8:0 not made/);
  });
});

async function* one(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

function attribute(where: string, name: string): Buffer | undefined {
  const fd = fs.openSync(where, 'r');
  try {
    return extendedAttribute(fd, name);
  } finally {
    fs.closeSync(fd);
  }
}

describe('attributes of a layer', () => {
  it('keeps capabilities and small user attributes, drops and notes the rest', async () => {
    const target = fresh();
    const report = await createNativeUnpacker().unpack({ stream: one(attributeLayer()), compression: 'none' }, target);
    assert.equal(attribute(path.join(target, 'd'), 'user.overlay.opaque'), undefined);
    assert.equal(attribute(path.join(target, 'd'), 'user.keep')?.toString(), 'this');
    assert.equal(attribute(path.join(target, 'f'), 'user.small')?.toString(), 'yes');
    for (const name of ['user.overlay.redirect', 'user.overlay.metacopy', 'trusted.overlay.redirect', 'system.posix_acl_access', 'user.large']) assert.equal(attribute(path.join(target, 'f'), name), undefined, name);
    assert.equal(attribute(path.join(target, 'f'), 'security.capability')?.readUInt32LE(4), 1 << 13);
    assert.equal(attribute(path.join(target, 'odd'), 'security.capability'), undefined);
    assert.equal(report.notes.length, 9);
  });

  it('would let overlay marks in without the rule', async () => {
    const target = fresh();
    await createNativeUnpacker({ program: await nativeWithoutRule(root, 'XATTR') }).unpack({ stream: one(attributeLayer()), compression: 'none' }, target);
    assert.equal(attribute(path.join(target, 'd'), 'user.overlay.opaque')?.toString(), 'y');
  });
});

describe('SHA-256 of the native program', () => {
  it('agrees with OpenSSL for every length around a block', async () => {
    for (const size of [0, 1, 55, 56, 63, 64, 65, 119, 128, 4096, 300_000]) {
      const tar = layerTar([file('f', Buffer.alloc(size, 7))]);
      const report = await createNativeUnpacker().unpack({ stream: one(tar), compression: 'none' }, fresh());
      assert.equal(report.diffId, `sha256:${createHash('sha256').update(tar).digest('hex')}`);
    }
  });

  it('agrees without the instructions of the CPU', () => {
    const source = path.join(root, 'portable.c');
    fs.writeFileSync(source, '#include "sha256.c"\n#include <stdio.h>\n#include <unistd.h>\nint main(void){struct sha256 h;sha256_start(&h);static uint8_t b[65536];ssize_t n;while((n=read(0,b,sizeof b))>0)sha256_add(&h,b,(size_t)n);char x[65];sha256_end(&h,x);fputs(x,stdout);}\n');
    execFileSync('gcc', ['-std=gnu17', '-O2', '-DSHA256_PORTABLE', `-I${path.resolve(import.meta.dirname, '../../native')}`, '-o', path.join(root, 'portable'), source]);
    for (const size of [0, 55, 56, 64, 100_001]) {
      const input = Buffer.alloc(size, 'abc');
      assert.equal(execFileSync(path.join(root, 'portable'), { input }).toString(), createHash('sha256').update(input).digest('hex'));
    }
  });
});

describe('whiteouts and opaque marks', () => {
  it('count in an overlay that is mounted with userxattr', async () => {
    const unpacker = createNativeUnpacker();
    const lower = fresh(), upper = fresh();
    await unpacker.unpack({ stream: one(layerTar([dir('etc'), file('etc/gone', '1'), file('etc/stays', '2'), dir('opaque'), file('opaque/low', '3'), dir('again'), file('again/low', '4')])), compression: 'none' }, lower);
    await unpacker.unpack({ stream: one(layerTar([dir('etc'), file('etc/.wh.gone'), dir('opaque'), file('opaque/.wh..wh..opq'), file('opaque/up', '5'), file('opaque/.wh.idle'), file('.wh.again'), file('again/up', '6')])), compression: 'none' }, upper);
    assert.equal(fs.existsSync(path.join(upper, 'opaque/idle')), false);
    const seen = execFileSync('unshare', ['--mount', 'sh', '-c', 'mount -t overlay -o ro,userxattr,lowerdir="$1:$2" berth "$3" && cd "$3" && find . | LC_ALL=C sort', 'sh', upper, lower, fresh()], { encoding: 'utf8' });
    assert.deepEqual(seen.trim().split('\n'), ['.', './again', './again/up', './etc', './etc/stays', './opaque', './opaque/up']);
  });
});
