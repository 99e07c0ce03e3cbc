/** G06: what a tenant writes into user data, names and host names stays a value in the seed that a system reads as YAML. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { HOSTILE_TEXTS } from '../../../test/lib/hostile-texts.ts';
import { cloudSeed } from './boot-plan.ts';

type Seeded = Parameters<typeof cloudSeed>[0];
const ID = 'aaaaaaaaaaaa';
const TEXTS = [...HOSTILE_TEXTS, 'x\nruncmd:\n  - touch /broke-out', '"}\n#cloud-config\nruncmd: [id]', "'; true #", '!!python/object:os.system', '&a [*a]', '- a\n- b', '#cloud-config', '\u2028users: []', 'null', '0x10', '~'];

const seeded = (text: string): Seeded => ({
  meta: { id: ID } as Seeded['meta'],
  spec: { userData: { hostname: text, users: [{ name: text, gecos: text, ssh_authorized_keys: [text] }], write_files: [{ path: text, content: text }], runcmd: [[text]] } } as Seeded['spec'],
});
/** What a template would make of it. */
const byTemplate = ({ spec }: Seeded): string => `#cloud-config\nhostname: ${spec.userData?.hostname}\n`;

test('G06: every text comes out of the seed as it went in, and adds nothing to it', () => {
  for (const text of TEXTS) {
    const given = seeded(text), { userData, metaData } = cloudSeed(given, text);
    assert.ok(userData.startsWith('#cloud-config\n'));
    assert.deepEqual(parse(userData), given.spec.userData, JSON.stringify(text));
    assert.deepEqual(parse(metaData), { 'instance-id': ID, 'local-hostname': text }, JSON.stringify(text));
  }
});

test('G06 goes red when the seed is made from a template', () => {
  const broken = TEXTS.filter((text) => {
    try {
      return (parse(byTemplate(seeded(text)), { logLevel: 'silent' }) as { hostname?: unknown } | undefined)?.hostname !== text;
    } catch {
      return true;
    }
  });
  assert.ok(broken.length > 5, JSON.stringify(broken));
  assert.ok('runcmd' in (parse(byTemplate(seeded('x\nruncmd:\n  - touch /broke-out'))) as object));
});

test('what is meant for cloud-init as it is, is handed on as it is', () => {
  assert.equal(cloudSeed({ meta: { id: ID } as Seeded['meta'], spec: { cloudInit: '#!/bin/sh\necho hi\n' } as Seeded['spec'] }, 'h').userData, '#!/bin/sh\necho hi\n');
});
