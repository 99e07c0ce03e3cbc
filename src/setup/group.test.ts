import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { ensureGroup, removeGroup, type GroupPlace } from './group.ts';

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-group-'));
after(() => fs.rmSync(temporary, { recursive: true }));

function place(name: string, content: string): GroupPlace {
  const groupFile = path.join(temporary, `${name}.group`);
  fs.writeFileSync(groupFile, content);
  return {
    groupFile,
    markerDir: path.join(temporary, name),
    add: async (group) => fs.appendFileSync(groupFile, `${group}:x:999:\n`),
    remove: async (group) => fs.writeFileSync(groupFile, fs.readFileSync(groupFile, 'utf8').split('\n').filter((line) => !line.startsWith(`${group}:`)).join('\n')),
  };
}

test('a group that we made goes with us', async () => {
  const ours = place('ours', 'root:x:0:\n');
  assert.equal(await ensureGroup(ours), true);
  assert.equal(await ensureGroup(ours), false);
  assert.equal(await removeGroup(ours), true);
  assert.equal(fs.readFileSync(ours.groupFile, 'utf8'), 'root:x:0:\n');
});

test('a group that was there before stays, also one of a longer name', async () => {
  const theirs = place('theirs', 'berth:x:500:ann\nberthold:x:501:\n');
  assert.equal(await ensureGroup(theirs), false);
  assert.equal(await removeGroup(theirs), false);
  assert.match(fs.readFileSync(theirs.groupFile, 'utf8'), /berth:x:500:ann/);
  assert.equal(await ensureGroup(place('longer', 'berthold:x:501:\n')), true);
});
