import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { DEFAULT_PLACE } from './daemon-process.ts';
import { INSTALL_PLACE } from './install-copy.ts';
import { isDefault } from './service.ts';

const unit = fs.readFileSync(path.resolve(import.meta.dirname, '../../packaging/systemd/berth.service'), 'utf8');
const settings = Object.fromEntries(unit.split('\n').flatMap((line) => (/^[A-Z]\w+=/.test(line) ? [[line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]] : [])));

test('the unit starts the installed daemon at its usual place', () => {
  assert.equal(settings['ExecStart'], `${INSTALL_PLACE.installRoot}/current/berth daemon --root ${DEFAULT_PLACE.root} --run ${DEFAULT_PLACE.run}`);
  assert.ok(isDefault(DEFAULT_PLACE) && !isDefault({ root: '/srv/a', run: '/run/a' }));
});

test('stopping or losing the daemon touches no instance', () => {
  const wanted = { KillMode: 'process', Delegate: 'yes', OOMPolicy: 'continue', Restart: 'always', TasksMax: 'infinity' };
  assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((key) => [key, settings[key]])), wanted);
  // A start limit would leave a host without its daemon after five quick deaths.
  assert.equal(settings['StartLimitIntervalSec'], '0');
  // Systemd would delete the sockets of running instances with such a directory.
  assert.equal(settings['RuntimeDirectory'], undefined);
});
