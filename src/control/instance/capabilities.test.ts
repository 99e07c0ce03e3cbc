import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { capabilitiesOf } from './process.ts';

const DEFAULT = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_NET_BIND_SERVICE', 'CAP_SETFCAP', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_SETUID', 'CAP_SYS_CHROOT'];
const spec = (add: string[], drop: string[]) => ({ image: 'busybox', capabilities: { add, drop } }) as never;

describe('capabilities of an app container', () => {
  test('eleven of them, spelt as the kernel\'s manual and the runtimes spell them', () => {
    assert.deepEqual(capabilitiesOf({ image: 'busybox' } as never), DEFAULT);
  });

  test('added, dropped, all dropped', () => {
    assert.deepEqual(capabilitiesOf(spec(['NET_RAW'], ['CHOWN'])), [...DEFAULT.slice(1, 6), 'CAP_NET_RAW', ...DEFAULT.slice(6)]);
    assert.deepEqual(capabilitiesOf(spec(['NET_BIND_SERVICE'], ['ALL'])), ['CAP_NET_BIND_SERVICE']);
    assert.throws(() => capabilitiesOf(spec(['SYS_ADMIN'], [])), { code: 'invalid' });
  });
});
