/** The daemon as tests start it: the same parts, with a hook that kills or fails it at one step. */
import { makeLog } from '../../src/daemon/log.ts';
import { parseDaemonOptions } from '../../src/daemon/options.ts';
import { runDaemon } from '../../src/daemon/run-daemon.ts';
import type { StepHook } from '../../src/control/journal.ts';

const killAt = process.env['BERTH_TEST_KILL_AT'];
const failAt = process.env['BERTH_TEST_FAIL_AT'];

const stepHook: StepHook = (verb, step, moment) => {
  const here = `${verb}/${step}/${moment}`;
  if (here === killAt) process.kill(process.pid, 'SIGKILL');
  if (failAt?.startsWith(`${here}/`) === true) {
    const errno = failAt.slice(here.length + 1);
    throw Object.assign(new Error(`${errno}: made to fail by a test`), { code: errno });
  }
};

const daemon = await runDaemon(parseDaemonOptions(process.argv.slice(2), process.env), { log: makeLog(), stepHook });
process.stdout.write(`berth ready unix:${daemon.socketPath}\n`);
process.once('SIGTERM', () => void daemon[Symbol.asyncDispose]().then(() => process.exit(0)));
