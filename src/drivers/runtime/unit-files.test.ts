/** What the program inside says is the instance's word: bounded, printable, and no code but those that it may say. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BerthError } from '../../model/errors.ts';
import type { ExecPlan, ExecSession, OutputChunk } from './driver.ts';
import { copyInto, copyOutOf } from './unit-files.ts';

interface Said {
  readonly stdout?: readonly string[];
  readonly stderr?: readonly string[];
  readonly exitCode: number;
}

function inside({ stdout = [], stderr = [], exitCode }: Said): { readonly exec: (plan: ExecPlan) => Promise<ExecSession>; closed: number; plan?: ExecPlan } {
  const seen = {
    closed: 0,
    async exec(plan: ExecPlan): Promise<ExecSession> {
      Object.assign(seen, { plan });
      const chunks: OutputChunk[] = [...stdout.map((text) => ({ stream: 'stdout' as const, data: Buffer.from(text) })), ...stderr.map((text) => ({ stream: 'stderr' as const, data: Buffer.from(text) }))];
      return {
        exit: Promise.resolve({ exitCode }), write: async () => undefined, endInput: async () => undefined, resize: async () => undefined, signal: async () => undefined,
        close: async () => { seen.closed++; },
        output: (async function* () { yield* chunks; })(),
      };
    },
  };
  return seen;
}

async function* nothing(): AsyncGenerator<Uint8Array> { /* an archive of no bytes */ }

const OUT = { path: '/x', followLink: false }, IN = { path: '/x', extract: false, archive: false };

async function refusal(said: Said): Promise<BerthError> {
  const unit = inside(said);
  for (const copy of [() => copyOutOf(unit.exec, OUT), () => copyInto(unit.exec, IN, nothing())]) {
    const error = await copy().then(() => undefined, (one: unknown) => one);
    assert.ok(error instanceof BerthError, String(error));
    if (copy.toString().includes('copyInto')) return error;
  }
  throw new Error('nothing was refused');
}

describe('answers of the instance', () => {
  it('an error is its code and its sentence', async () => {
    const { code, message, hint } = await refusal({ stderr: ['notFound There is no /x inside.\n'], exitCode: 2 });
    assert.deepEqual([code, message, hint], ['notFound', 'There is no /x inside.', 'Paths are those that the instance sees.']);
  });

  it('a code that it may not say, no sentence, another exit: unavailable', async () => {
    for (const stderr of ['internal I am a bug of yours.\n', 'unauthenticated x\n', '__proto__ x\n', '', 'notFound\n', '\0\0\0']) assert.equal((await refusal({ stderr: [stderr], exitCode: 2 })).code, 'unavailable', stderr);
    assert.match((await refusal({ exitCode: 137 })).message, /ended inside the instance with 137/);
  });

  it('text is printable and bounded', async () => {
    const { message } = await refusal({ stderr: [`invalid \u001b[2J\u202e${'x'.repeat(100_000)}\n`, ...Array.from({ length: 100 }, () => 'y'.repeat(100_000))], exitCode: 2 });
    assert.ok(message.length < 5_000 && !/[\u001b\u202e]/.test(message), message.slice(0, 100));
  });

  it('an instance without the program was started by an earlier version', async () => {
    assert.deepEqual([(await refusal({ exitCode: 127 })).code, (await refusal({ exitCode: 126 })).code], ['unsupported', 'unsupported']);
  });

  it('no archive at all is none; one that breaks off is an error of its reader', async () => {
    await assert.rejects(copyOutOf(inside({ exitCode: 0 }).exec, OUT), { code: 'unavailable' });
    const unit = inside({ stdout: ['half'], stderr: ['exhausted It is full.\n'], exitCode: 2 });
    const read: string[] = [];
    await assert.rejects(async () => { for await (const chunk of await copyOutOf(unit.exec, OUT)) read.push(Buffer.from(chunk).toString()); }, { code: 'exhausted' });
    assert.deepEqual([read, unit.closed], [['half'], 1]);
  });

  it('a path is one word of the command, whatever it holds; the rights are few', async () => {
    const unit = inside({ stdout: ['x'], exitCode: 0 });
    await copyOutOf(unit.exec, { path: '/--follow; rm -rf /', followLink: true });
    assert.deepEqual(unit.plan!.args, ['/dev/.init', 'copy-out', '--follow', '--', '/--follow; rm -rf /']);
    assert.deepEqual([unit.plan!.noNewPrivileges, unit.plan!.capabilities], [true, ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID']]);
  });
});
