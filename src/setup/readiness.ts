/** Is the daemon of a place there, and does it answer? */
import fs from 'node:fs';
import http from 'node:http';
import { run } from '../host/run.ts';
import { BerthError } from '../model/errors.ts';
import { findDaemons, socketOf, type Place } from './daemon-process.ts';
import { UNIT_NAME } from './home.ts';
import { isDefault, logFileOf, systemdRuns } from './service.ts';

const ASK_TIMEOUT_MS = 10_000;
/** The first start tries the accelerator and makes its filters: a second; minutes on a host that is emulated itself. */
const READY_DEADLINE_MS = 240_000;
const POLL_MS = 50;

/** Any answer counts: it was asked for something harmless. */
export function daemonAnswers(place: Place): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.request({ socketPath: socketOf(place), path: '/v1/openapi.json', method: 'HEAD', headers: { host: 'localhost' }, timeout: ASK_TIMEOUT_MS, agent: false }, (response) => {
      response.resume();
      resolve(true);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
    request.end();
  });
}

/** @throws `unavailable` with the end of the daemon's log when it does not answer in time. */
export async function waitUntilReady(place: Place): Promise<void> {
  const end = performance.now() + READY_DEADLINE_MS;
  while (!(await daemonAnswers(place))) {
    if (performance.now() > end) {
      throw new BerthError('unavailable', `The daemon does not answer on ${socketOf(place)}.\n${await lastWords(place)}`, { hint: systemdRuns() && isDefault(place) ? `journalctl -u ${UNIT_NAME}` : `Its log is ${logFileOf(place)}.` });
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function lastWords(place: Place): Promise<string> {
  if (systemdRuns() && isDefault(place)) return (await run('journalctl', ['-u', UNIT_NAME, '-n', '15', '--no-pager', '-o', 'cat'], { allowFailure: true })).stdout;
  const text = fs.existsSync(logFileOf(place)) ? fs.readFileSync(logFileOf(place), 'utf8') : '';
  return text.split('\n').slice(-15).join('\n');
}

/** The installed copy that the running daemon was started from; undefined when none runs, or one from elsewhere. */
export function runningCopy(place: Place): string | undefined {
  const [daemon] = findDaemons(place);
  if (daemon === undefined) return undefined;
  const args = fs.readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8').split('\0');
  const entry = args.find((word) => word.endsWith('/dist/daemon/main.js'));
  return entry?.slice(0, -'/dist/daemon/main.js'.length);
}
