import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { readRegistrySettings } from './registry-settings.ts';

const dir = await fs.mkdtemp(path.join(os.tmpdir(), 'berth-registries-'));
after(() => fs.rm(dir, { recursive: true, force: true }));

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

async function reads(text: string, mode = 0o644) {
  const file = path.join(dir, 'registries.yaml');
  await fs.writeFile(file, text);
  await fs.chmod(file, mode);
  return readRegistrySettings(file, true);
}

describe('registries.yaml', () => {
  it('need not be there, unless somebody named it', async () => {
    assert.deepEqual(await readRegistrySettings(path.join(dir, 'missing.yaml'), false), { search: ['docker.io'], hosts: {} });
    await assert.rejects(readRegistrySettings(path.join(dir, 'missing.yaml'), true), { code: 'invalid' });
  });

  it('says which registries are searched, and how each host is spoken to', async () => {
    await fs.writeFile(path.join(dir, 'ca.crt'), PEM);
    const settings = await reads('search: [registry.example:5000, docker.io]\nhosts:\n  registry.example:5000:\n    ca: ca.crt\n    mirrors: ["[fd00::1]:5000"]\n  10.0.0.1:5000:\n    plainHttp: true\n    realms: [auth.example]\n');
    assert.deepEqual(settings, {
      search: ['registry.example:5000', 'docker.io'],
      hosts: { 'registry.example:5000': { ca: PEM, mirrors: ['[fd00::1]:5000'] }, '10.0.0.1:5000': { plainHttp: true, realms: ['auth.example'] } },
    });
    assert.deepEqual(await reads(''), { search: ['docker.io'], hosts: {} });
    assert.equal((await reads(`hosts:\n  a.example:\n    ca: |\n      ${PEM.replaceAll('\n', '\n      ')}`)).hosts['a.example']?.ca?.trim(), PEM.trim());
  });

  for (const [what, text] of Object.entries({
    'an unknown field': 'serach: [docker.io]', 'a path in a host': 'search: [a.example/x]', 'a scheme': 'hosts: {"https://a.example": {}}', 'text for yes': 'hosts: {a.example: {plainHttp: "yes"}}',
    'a missing certificate': 'hosts: {a.example: {ca: nowhere.crt}}', 'a file without a certificate': 'hosts: {a.example: {ca: registries.yaml}}', 'an alias': 'a: &a [docker.io]\nsearch: *a', 'a key twice': 'search: []\nsearch: []', 'no YAML': '\t{',
  })) it(`refuses ${what}`, async () => { await assert.rejects(reads(text), { code: 'invalid' }); });

  it('is refused when others may write it', async () => {
    await assert.rejects(reads('search: []', 0o666), /may write it/);
    await assert.rejects(reads('search: []', 0o664), /may write it/);
  });
});
