import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLinkTraffic, readLinkTraffic } from './link-traffic.ts';

test('bytes by interface, a full column and a name with a colon included', async () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      200       2    0    0    0     0       0          0
eth0:1:18446744073 5 0 0 0 0 0 0 7 1 0 0 0 0 0 0
`;
  assert.deepEqual([...parseLinkTraffic(text)], [['lo', { receivedBytes: 100, sentBytes: 200 }], ['eth0:1', { receivedBytes: 18_446_744_073, sentBytes: 7 }]]);
  assert.ok((await readLinkTraffic()).has('lo'));
});
