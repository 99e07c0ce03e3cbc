/** A14: what comes out of an instance is written by a stranger. Each case is tried with its guard and without. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { goesRed } from '../../test/lib/red.ts';
import { paxEntry, tarEnd, tarEntry, tarHeader } from '../lib/tar-header.ts';
import { readTar } from '../lib/tar-reader.ts';
import { BerthError, type ErrorCode } from '../model/errors.ts';
import { packCopy } from './copy-pack.ts';
import { unpackCopy, type UnpackOptions } from './copy-unpack.ts';
import { COPY_GUARDS, type CopyGuards } from './held-directory.ts';

interface Place extends Disposable {
  readonly target: string;
  readonly outside: string;
}

function place(): Place {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-copy-'));
  const made = { target: path.join(base, 'target'), outside: path.join(base, 'outside') };
  for (const dir of Object.values(made)) fs.mkdirSync(dir);
  fs.writeFileSync(path.join(made.outside, 'precious'), 'precious\n', { mode: 0o600 });
  return { ...made, [Symbol.dispose]: () => { fs.rmSync(base, { recursive: true, force: true }); } };
}

async function* archive(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

const directory = tarEntry({ path: 'r/', type: 'directory' });
const file = (name: string, content = 'bad\n'): Uint8Array => tarEntry({ path: name }, Buffer.from(content));

async function unpack(at: Place, parts: readonly Uint8Array[], options: Partial<UnpackOptions> = {}): Promise<ErrorCode | undefined> {
  try {
    await unpackCopy(archive(...parts, ...(options.maxBytes === -1 ? [] : [tarEnd()])), { root: 'r', destination: at.target, owners: false, maxBytes: 1_000_000, warn: async () => undefined, ...options });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof BerthError, String(error));
    return error.code;
  }
}

function untouched(at: Place): void {
  assert.deepEqual(fs.readdirSync(at.outside), ['precious']);
  assert.equal(fs.readFileSync(path.join(at.outside, 'precious'), 'utf8'), 'precious\n');
  assert.equal(fs.statSync(path.join(at.outside, 'precious')).mode & 0o7777, 0o600);
  assert.deepEqual(fs.readdirSync(path.dirname(at.target)).sort(), ['outside', 'target']);
}

interface Case {
  readonly what: string;
  readonly guard: Partial<CopyGuards>;
  readonly attack: (at: Place, guards: CopyGuards) => Promise<void>;
}

const without: Readonly<Record<string, Partial<CopyGuards>>> = { noFollow: { noFollow: 0 }, isOwn: { isOwn: () => true }, modeOf: { modeOf: (mode) => mode } };

const CASES: readonly Case[] = [
  { what: 'a link in the archive leads no later entry out', guard: without['noFollow']!, async attack(at, guards) {
    const code = await unpack(at, [directory, tarEntry({ path: 'r/out', type: 'symlink', link: at.outside }), file('r/out/precious'), file('r/out/new')], { guards });
    untouched(at);
    assert.equal(code, 'invalid');
  } },
  { what: 'nor one that climbs, nor one that was there before', guard: without['noFollow']!, async attack(at, guards) {
    fs.mkdirSync(path.join(at.target, 'r'));
    fs.symlinkSync('../../outside', path.join(at.target, 'r/there'));
    const code = await unpack(at, [directory, file('r/there/new')], { guards });
    untouched(at);
    assert.equal(code, 'invalid');
  } },
  { what: 'a directory that becomes a link while its content is written', guard: without['noFollow']!, async attack(at, guards) {
    const swapping: CopyGuards = { ...guards, assertName(name) {
      guards.assertName(name);
      const sub = path.join(at.target, 'r/sub');
      if (name !== 'sub' || !fs.existsSync(sub)) return;
      fs.rmSync(sub, { recursive: true });
      fs.symlinkSync(at.outside, sub);
    } };
    const code = await unpack(at, [directory, tarEntry({ path: 'r/sub/', type: 'directory', mode: 0o777 }), file('r/sub/new')], { guards: swapping });
    untouched(at);
    assert.equal(code, 'invalid');
  } },
  { what: 'a hard link leads to what the archive brought, and to nothing else', guard: without['isOwn']!, async attack(at, guards) {
    fs.mkdirSync(path.join(at.target, 'r'));
    fs.writeFileSync(path.join(at.target, 'r/mine'), 'mine\n');
    const code = await unpack(at, [directory, tarEntry({ path: 'r/link', type: 'hardlink', link: 'r/mine' })], { guards });
    assert.equal(code, 'invalid');
    assert.equal(fs.statSync(path.join(at.target, 'r/mine')).nlink, 1);
  } },
  { what: 'a program of another user’s id is none here', guard: without['modeOf']!, async attack(at, guards) {
    assert.equal(await unpack(at, [directory, tarEntry({ path: 'r/su', mode: 0o6755 }, Buffer.from('x'))], { guards }), undefined);
    assert.equal(fs.statSync(path.join(at.target, 'r/su')).mode & 0o7777, 0o755);
  } },
  { what: 'what is packed is what lies there, though a directory becomes a link on the way', guard: without['noFollow']!, async attack(at, guards) {
    fs.mkdirSync(path.join(at.target, 'sub'));
    const swapping: CopyGuards = { ...guards, assertName(name) {
      guards.assertName(name);
      const sub = path.join(at.target, 'sub');
      // The second time it is opened; the first time somebody looks what it is.
      if (name !== 'sub' || ++looks !== 2) return;
      fs.rmSync(sub, { recursive: true });
      fs.symlinkSync(at.outside, sub);
    } };
    let looks = 0;
    const seen: string[] = [];
    try {
      for await (const entry of readTar(packCopy({ source: at.target, followLink: false, warn: async () => undefined, guards: swapping }))) seen.push(entry.path);
    } catch (error) {
      assert.ok(!(error instanceof assert.AssertionError));
    }
    assert.ok(!seen.some((one) => one.includes('precious')), seen.join());
  } },
];

describe('A14: a hostile archive', () => {
  for (const { what, guard, attack } of CASES) {
    it(what, async () => {
      {
        using at = place();
        await attack(at, COPY_GUARDS);
      }
      await goesRed(async () => {
        using at = place();
        await attack(at, { ...COPY_GUARDS, ...guard });
      });
    });
  }

  const REFUSED: readonly (readonly [string, readonly Uint8Array[], Partial<UnpackOptions>?])[] = [
    ['a path with ..', [directory, file('r/../../outside/precious')]],
    ['an absolute path', [directory, file('/tmp/berth-never')]],
    ['another root than was asked for', [tarEntry({ path: 'other/', type: 'directory' }), file('other/x')]],
    ['.. by an extended header', [directory, paxEntry([['path', 'r/../../outside/new']]), tarEntry({ path: 'r/x' }, Buffer.from('x'))]],
    ['a hard link with ..', [directory, tarEntry({ path: 'r/h', type: 'hardlink', link: 'r/../../outside/precious' })]],
    ['a hard link through a link', [directory, tarEntry({ path: 'r/out', type: 'symlink', link: '../../outside' }), tarEntry({ path: 'r/h', type: 'hardlink', link: 'r/out/precious' })]],
    ['a file in the place of a directory', [directory, tarEntry({ path: 'r/d/', type: 'directory' }), file('r/d')]],
    ['a directory in the place of a link', [directory, tarEntry({ path: 'r/l', type: 'symlink', link: '../../outside' }), tarEntry({ path: 'r/l/', type: 'directory' })]],
    ['nesting without end', [file(`r/${'a/'.repeat(400)}x`)]],
    ['no tar at all', [Buffer.alloc(1024, 'x')]],
    ['half an archive', [directory, file('r/x')], { maxBytes: -1 }],
  ];
  for (const [what, parts, options] of REFUSED) {
    it(`${what} is refused`, async () => {
      using at = place();
      assert.match(String(await unpack(at, parts, options)), /^(invalid|exhausted)$/);
      untouched(at);
    });
  }

  it('more than was allowed is refused before it is written', async () => {
    using at = place();
    const endless = Buffer.concat([tarHeader({ path: 'r/big', sizeBytes: 2_000_000 })]);
    assert.equal(await unpack(at, [directory, endless]), 'exhausted');
    assert.deepEqual(fs.readdirSync(path.join(at.target, 'r')), []);
  });

  it('devices are left out, and told', async () => {
    using at = place();
    const told: string[] = [];
    assert.equal(await unpack(at, [directory, tarEntry({ path: 'r/null', type: 'character', major: 1, minor: 3 }), tarEntry({ path: 'r/p', type: 'fifo' }), file('r/x', 'x')], { warn: async (sentence) => void told.push(sentence) }), undefined);
    assert.deepEqual([fs.readdirSync(path.join(at.target, 'r')), told.length], [['x'], 2]);
  });

  it('links are written as they are, and replace links and files, not what they lead to', async () => {
    using at = place();
    fs.mkdirSync(path.join(at.target, 'r'));
    fs.symlinkSync(path.join(at.outside, 'precious'), path.join(at.target, 'r/x'));
    assert.equal(await unpack(at, [directory, file('r/x', 'new\n'), tarEntry({ path: 'r/l', type: 'symlink', link: '/etc/passwd' }), tarEntry({ path: 'r/h', type: 'hardlink', link: 'r/x' })]), undefined);
    untouched(at);
    assert.equal(fs.readFileSync(path.join(at.target, 'r/h'), 'utf8'), 'new\n');
    assert.equal(fs.readlinkSync(path.join(at.target, 'r/l')), '/etc/passwd');
  });
});
