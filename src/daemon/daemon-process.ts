/** The life of the daemon's process: reads its options, opens what it needs, says that it is ready, and ends on SIGTERM while instances go on, unless the whole host ends. */
import { describe } from '../control/journal.ts';
import { hostGoesDown } from '../host/host-shutdown.ts';
import { asBerthError } from '../model/errors.ts';
import { makeLog } from './log.ts';
import { DAEMON_HELP, parseDaemonOptions } from './options.ts';
import { runDaemon, type DaemonParts } from './run-daemon.ts';

/** Resolves when it is ready. `parts` is for tests. */
export async function daemonProcess(parts: Omit<DaemonParts, 'log'> = {}): Promise<void> {
  if (process.argv.includes('--help') || process.argv.includes('-h')) {
    process.stdout.write(DAEMON_HELP);
    return;
  }
  const log = makeLog();
  process.on('unhandledRejection', (error) => {
    log.error({ error: describe(error) }, 'a promise was rejected and nobody looked');
  });
  process.on('uncaughtException', (error) => {
    log.error({ error: describe(error) }, 'the daemon met a bug and ends; instances go on');
    process.exit(70);
  });
  // Whoever starts it may have another: directories that instances pass through are made with the mode that is asked for.
  process.umask(0o022);
  try {
    const options = parseDaemonOptions(process.argv.slice(2), process.env);
    const daemon = await runDaemon(options, { ...parts, log });
    process.stdout.write(`berth ready unix:${daemon.socketPath}\n`);
    const stop = async () => {
      const withHost = await hostGoesDown().catch((error: unknown) => {
        log.warn({ error: describe(error) }, 'nobody could say whether the host goes down');
        return false;
      });
      await (withHost ? daemon.endWithHost() : daemon[Symbol.asyncDispose]());
      process.exit(0);
    };
    process.once('SIGTERM', () => void stop());
    process.once('SIGINT', () => void stop());
  } catch (error) {
    const known = asBerthError(error, 'start the daemon');
    if (known.code === 'internal') log.error({ error: describe(error) }, 'the daemon could not start');
    process.stderr.write(`berth: ${known.message}\n${known.hint === undefined ? '' : `  hint: ${known.hint}\n`}`);
    process.exit(known.rule.exitCode);
  }
}
