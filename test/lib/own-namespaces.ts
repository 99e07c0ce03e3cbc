/** For tests that change the network of a machine: the test file runs again in a network and mount namespace of its own. */
import fs from 'node:fs';

const MARK = 'BERTH_TEST_OWN_NAMESPACES';

/**
 * Call it first thing in a test file. The process becomes `unshare … node FILE` under the same pid, so the test runner
 * goes on listening to it.
 */
export function enterOwnNamespaces(): void {
  const host = process.env[MARK];
  if (host === undefined) {
    const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined));
    process.execve!('/usr/bin/unshare', ['unshare', '--net', '--mount', '--propagation', 'private', process.execPath, ...process.execArgv, ...process.argv.slice(1)], { ...env, [MARK]: fs.readlinkSync('/proc/self/ns/net') });
  }
  if (fs.readlinkSync('/proc/self/ns/net') === host) throw new Error('still in the network namespace of the host');
}
