/**
 * The daemon as tests start it: the same parts, with a hook that kills or fails it at one step. Which one stands in a
 * file that is read at every step, so that one daemon serves many faults.
 */
import { readFileSync } from 'node:fs';
import { daemonProcess } from '../../src/daemon/daemon-process.ts';
import type { VirtiofsdProgram } from '../../src/host/virtiofsd.ts';
import type { StepHook } from '../../src/control/journal.ts';

/** `kill verb/step/moment` or `fail verb/step/moment/ERRNO`, one a line. */
function faults(): string[] {
  return readFileSync(process.env['BERTH_TEST_FAULTS']!, 'utf8').split('\n');
}

const stepHook: StepHook = (verb, step, moment) => {
  const here = `${verb}/${step}/${moment}`;
  for (const fault of faults()) {
    if (fault === `kill ${here}`) process.kill(process.pid, 'SIGKILL');
    if (!fault.startsWith(`fail ${here}/`)) continue;
    const errno = fault.slice(`fail ${here}/`.length);
    throw Object.assign(new Error(`${errno}: made to fail by a test`), { code: errno });
  }
};

/** Hosts of Debian 12 have none: a test brings its own (test/lib/virtiofsd.ts). */
const virtiofsd = process.env['BERTH_TEST_VIRTIOFSD'];

await daemonProcess({ stepHook, ...(virtiofsd === undefined ? {} : { virtiofsd: JSON.parse(virtiofsd) as VirtiofsdProgram }) });
