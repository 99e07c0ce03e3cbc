import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { aptMirror, deb822Sources, oneLineSources, PUBLIC_MIRROR } from './apt-mirror.ts';

describe('apt sources', () => {
  it('reads the one-line style', () => {
    assert.deepEqual(oneLineSources('# x\ndeb [signed-by=/k.gpg arch=amd64] http://m/debian bookworm main contrib # near\ndeb-src http://m/debian bookworm main\n'),
      [{ uri: 'http://m/debian', suite: 'bookworm', components: ['main', 'contrib'] }]);
  });

  it('reads the deb822 style', () => {
    const text = 'Types: deb deb-src\nURIs: http://m/debian\n# comment\nSuites: trixie\n trixie-updates\nComponents: main\n\nTypes: deb\nEnabled: no\nURIs: http://off\nSuites: trixie\nComponents: main\n';
    assert.deepEqual(deb822Sources(text).map((one) => one.suite), ['trixie', 'trixie-updates']);
  });

  it('finds the mirrors of a host, and the public ones where there is none', async () => {
    const dir = await fs.mkdtemp(path.join(os.tmpdir(), 'berth-apt-'));
    try {
      assert.deepEqual(await aptMirror(dir), PUBLIC_MIRROR);
      await fs.mkdir(path.join(dir, 'sources.list.d'));
      await fs.writeFile(path.join(dir, 'sources.list'), 'deb http://other/apt stable-thing main\ndeb http://bad"quote/debian bookworm main\ndeb http://near/debian/ bookworm main\n');
      await fs.writeFile(path.join(dir, 'sources.list.d', 'security.sources'), 'Types: deb\nURIs: http://near/security\nSuites: bookworm-security\nComponents: main\n');
      assert.deepEqual(await aptMirror(dir), { archive: 'http://near/debian', security: 'http://near/security' });
    } finally {
      await fs.rm(dir, { recursive: true });
    }
  });
});
