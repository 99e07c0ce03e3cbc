/** Whatever user data holds, what reaches a line of passwd, group, sudoers or authorized_keys stays one line, one field. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { textPlaces } from '../../test/lib/text-places.ts';
import { parseInput } from './define.ts';
import { userDataSchema, type UserData } from './user-data.ts';

const HOSTILE = ['\n', '\r', '\0', '\x1b', '\u0085', '\u2028', ':', 'a:b', '..', '/..', '/a/../b', 'x\ny', 'root\n', '\\', '#x', 'ALL=(ALL) ALL\nmallory ALL=(ALL) ALL', 'ALL \\', 'key\nkey', '%', ''];

/** Places whose text is the content of a file or a command: anything but NUL. */
const FREE = /^(write_files\.content|runcmd)/;

describe('user data', () => {
  it('a text that would be a line or a field of its own is refused', () => {
    const places = textPlaces(userDataSchema);
    assert.ok(places.length > 12, String(places.length));
    for (const place of places) {
      assert.ok(place.isReachable, place.path);
      for (const text of HOSTILE) {
        const { success, data } = userDataSchema.safeParse(place.put(text));
        if (!success) continue;
        if (FREE.test(place.path)) assert.ok(!text.includes('\0'), `${place.path} took NUL`);
        else assert.deepEqual(linesIn(data), [], `${place.path} took ${JSON.stringify(text)}`);
      }
    }
  });

  function linesIn(data: UserData): string[] {
    const users = data.users ?? [];
    const columns = users.flatMap((user) => [user.name, user.gecos, user.homedir, user.shell, user.passwd, [user.groups ?? []].flat().join()]);
    const lines = [...users.flatMap((user) => [[typeof user.sudo === 'object' || typeof user.sudo === 'string' ? user.sudo : []].flat(), user.ssh_authorized_keys ?? []].flat(2)), ...(data.ssh_authorized_keys ?? []), ...(data.write_files ?? []).flatMap((file) => [file.path, file.owner])];
    return [...columns.filter((text) => text != null && /[:\n\r\0\u0085\u2028]/.test(text)), ...lines.filter((text) => text != null && /[\n\r\0\u0085\u2028]/.test(text))] as string[];
  }

  it('sudo rules do not swallow the next line', () => {
    for (const sudo of ['ALL=(ALL) ALL \\', '#include /x', 'ALL #x']) assert.equal(userDataSchema.safeParse({ users: [{ name: 'a', sudo }] }).success, false, sudo);
    assert.ok(userDataSchema.safeParse({ users: [{ name: 'a', sudo: ['ALL=(ALL) NOPASSWD:ALL'] }] }).success);
  });

  it('packages are refused with the reason', () => {
    assert.throws(() => parseInput(userDataSchema, { packages: ['nginx'] }, 'instance', 'spec.userData'), { code: 'invalid', message: /spec\.userData\.packages: Berth installs nothing in a running system/ });
    assert.throws(() => parseInput(userDataSchema, { apt: {} }, 'instance', 'spec.userData'), { code: 'invalid', message: /apt: no such field/ });
  });
});
