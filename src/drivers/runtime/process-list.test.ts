/** A table of processes is the word of who is inside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExecSession } from './driver.ts';
import { MAX_TABLE_BYTES, MAX_UNIT_PROCESSES, parseProcesses } from './process-list.ts';
import { askProcesses } from './program-inside.ts';

const LINE = '901\t7\t2\t900\t33\tS\t40\t1500\t4096\tnginx: worker\tprocess';

test('a record, and the end of a table that was too long', () => {
  const { processes, isPartial } = parseProcesses(`${LINE}\0more\0`);
  assert.deepEqual(processes, [{ outerPid: 901, pid: 7, depth: 2, parentPid: 900, uid: 33, state: 'S', cpuMs: 40, ageMs: 1500, residentBytes: 4096, command: 'nginx: worker\tprocess' }]);
  assert.equal(isPartial, true);
  assert.deepEqual(parseProcesses(''), { processes: [], isPartial: false });
});

test('no more processes and no longer commands than there is room for', () => {
  const { processes, isPartial } = parseProcesses(`${LINE}${'x'.repeat(100_000)}\0`.repeat(20), 10);
  assert.deepEqual([processes.length, isPartial, processes[0]!.command.length], [10, true, 512]);
});

for (const [what, text] of Object.entries({ words: 'hello', 'a negative number': LINE.replace('901', '-1'), 'a number too long': LINE.replace('901', '9'.repeat(16)), 'a state of two letters': LINE.replace('\tS\t', '\tSS\t'), 'a fraction': LINE.replace('4096', '1.5'), 'a cut record': LINE.slice(0, 20) })) {
  test(`${what} is no table`, () => { assert.throws(() => parseProcesses(`${text}\0`), { code: 'unavailable' }); });
}

/** A unit that answers with these bytes, over and over when there are none of its own. */
function insideThatSays(chunks: Iterable<string>): { readonly exec: () => Promise<ExecSession>; closed: boolean } {
  const inside = {
    closed: false,
    exec: () => Promise.resolve({
      output: (async function* () {
        for (const chunk of chunks) {
          if (inside.closed) return;
          yield { stream: 'stdout' as const, data: Buffer.from(chunk) };
          await new Promise((resolve) => { setImmediate(resolve); });
        }
      })(),
      exit: Promise.resolve({ exitCode: 0 }), close: async () => { inside.closed = true; },
    } as unknown as ExecSession),
  };
  return inside;
}

test('a guest that speaks for ever is left after its time, with a bounded part of what it said', async () => {
  const inside = insideThatSays((function* () { for (;;) yield `${LINE}\0`.repeat(20_000); })());
  const before = process.memoryUsage().arrayBuffers;
  await assert.rejects(askProcesses({ exec: inside.exec, capabilities: [], timeoutMs: 300 }), { code: 'timeout' });
  assert.equal(inside.closed, true);
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 * MAX_TABLE_BYTES);
});

test('a guest with more processes than are told, and one that says nothing', async () => {
  const { processes, isPartial } = await askProcesses({ exec: insideThatSays([`${LINE}\0`.repeat(MAX_UNIT_PROCESSES + 1)]).exec, capabilities: [], timeoutMs: 5000 });
  assert.deepEqual([processes.length, isPartial], [MAX_UNIT_PROCESSES, true]);
  await assert.rejects(askProcesses({ exec: insideThatSays([]).exec, capabilities: [], timeoutMs: 5000 }), { code: 'unsupported' });
});
