/** Files of every format, damaged at random: an importer answers with workloads of the model and problems with places, and never throws. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { workload } from '../../model/workload.ts';
import { importEstate } from './import-estate.ts';

const FIXTURES = path.resolve(import.meta.dirname, '../../../test/fixtures/estates');
const FILES = fs.readdirSync(FIXTURES, { recursive: true, withFileTypes: true })
  .filter((one) => one.isFile() && one.name !== 'README.md').map((one) => path.join(one.parentPath, one.name)).toSorted();

/** What breaks readers: ends of structures, other types, what is too large, names that reach into objects. */
const TOKENS = ['"', "'", '{', '}', '[', ']', '<', '>', '&', ':', '\n', '\t', ',', ';', '-', '#', '*a', '&a', 'null', 'true', '0', '-1', '1e999', '9'.repeat(40), '__proto__', 'constructor', '\u0000', '\ud800', '\u2028', '\u001b[31m', '..', '%', '${X}', '<!DOCTYPE x>', '!!js/function', '? ', '---\n', 'é'.repeat(300)];

const damage = fc.record({
  file: fc.constantFrom(...FILES),
  hits: fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), remove: fc.nat({ max: 60 }), insert: fc.constantFrom('', ...TOKENS) }), { minLength: 1, maxLength: 6 }),
});

function damaged(text: string, hits: readonly { readonly at: number; readonly remove: number; readonly insert: string }[]): string {
  return hits.reduce((now, { at, remove, insert }) => {
    const from = Math.floor(at * now.length);
    return now.slice(0, from) + insert + now.slice(from + remove);
  }, text);
}

test('a damaged file gives workloads of the model and problems with places, and throws nothing', () => {
  const texts = new Map(FILES.map((file) => [file, fs.readFileSync(file, 'utf8')]));
  fc.assert(fc.property(damage, ({ file, hits }) => {
    const name = path.basename(file);
    const estate = importEstate([{ name, text: damaged(texts.get(file)!, hits) }]);
    for (const one of estate.workloads) {
      const parsed = workload.safeParse(one);
      assert.ok(parsed.success, JSON.stringify(parsed.error?.issues));
    }
    assert.equal(new Set(estate.workloads.map((one) => one.meta.name)).size, estate.workloads.length, 'names are unique');
    for (const problem of estate.problems) {
      assert.equal(problem.file, name);
      assert.ok(problem.line === undefined || (Number.isInteger(problem.line) && problem.line > 0), JSON.stringify(problem));
      assert.match(problem.message, /[.)!?]$/, JSON.stringify(problem));
    }
  }), { numRuns: 300, seed: 20_261_121 });
});
