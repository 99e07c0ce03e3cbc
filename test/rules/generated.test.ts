import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ERROR_CODES } from '../../src/model/errors.ts';
import { GENERATED } from '../../src/setup/generate.ts';
import { HOME } from './source-tree.ts';

for (const [file, make] of Object.entries(GENERATED)) {
  test(`${file} is fresh`, async () => {
    const there = await fs.promises.readFile(path.join(HOME, file), 'utf8');
    assert.ok(there === (await make()), `${file} is not what the code says: npm run generate`);
  });
}

test('every error code has its row in the reference', async () => {
  const page = await GENERATED['docs/reference/errors.md']!();
  for (const code of ERROR_CODES) assert.match(page, new RegExp(`^\\| \`${code}\` \\| \\d{3} \\| \\d+ \\| (yes|no) \\| \\S`, 'm'));
});
