/** The daemon's command line. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';

export interface DaemonOptions {
  readonly rootDir: string;
  readonly runDir: string;
  readonly leaseDir: string;
  /** Where guest kernels lie; ROOT/kernels when missing. */
  readonly kernelDir?: string | undefined;
  /** Settings of registries; ROOT/registries.yaml, if it is there, when missing. */
  readonly registriesFile?: string | undefined;
  /** Whether microVMs resume from templates, and whose. */
  readonly warmStart: WarmStart;
}

export const WARM_STARTS = ['off', 'project', 'shared'] as const;
/** `project`: no template serves two projects; `shared`: one serves all. */
export type WarmStart = (typeof WARM_STARTS)[number];
const DEFAULT_WARM_START: WarmStart = 'project';

export const DAEMON_USAGE = 'usage: berth daemon [--root DIR] [--run DIR] [--registries FILE] [--warm-start off|project|shared]';

export const DAEMON_HELP = `Run the daemon in the foreground.

U${DAEMON_USAGE.slice(1)}

Flags:
  --root DIR                       What it keeps (BERTH_ROOT); /var/lib/berth when missing.
  --run DIR                        Its sockets, and what runs (BERTH_RUN); /run/berth when missing.
  --registries FILE                Settings of registries; ROOT/registries.yaml when missing.
  --warm-start off|project|shared  Whether microVMs resume from templates, and whose (BERTH_WARM_START); project when missing.

SIGTERM ends it; instances go on.
`;

export function parseDaemonOptions(args: readonly string[], env: Readonly<Record<string, string | undefined>>): DaemonOptions {
  try {
    const { values } = parseArgs({ args: [...args], options: { root: { type: 'string' }, run: { type: 'string' }, leases: { type: 'string' }, kernels: { type: 'string' }, registries: { type: 'string' }, listen: { type: 'string' }, 'warm-start': { type: 'string' } }, strict: true, allowPositionals: false });
    if (values.listen !== undefined) throw new BerthError('unsupported', '--listen (TCP with TLS) is not part of this version yet.', { hint: 'Use the unix socket.' });
    const wished = values['warm-start'] ?? env['BERTH_WARM_START'] ?? DEFAULT_WARM_START;
    const warmStart = WARM_STARTS.find((one) => one === wished);
    if (warmStart === undefined) throw new BerthError('invalid', `'${printable(wished)}' is not a way to start: --warm-start (BERTH_WARM_START) is off, project or shared.`);
    return {
      warmStart,
      rootDir: values.root ?? env['BERTH_ROOT'] ?? '/var/lib/berth',
      runDir: values.run ?? env['BERTH_RUN'] ?? '/run/berth',
      leaseDir: values.leases ?? '/run/berth-leases',
      ...(values.kernels === undefined ? {} : { kernelDir: path.resolve(values.kernels) }),
      ...(values.registries === undefined ? {} : { registriesFile: values.registries }),
    };
  } catch (error) {
    if (error instanceof BerthError) throw error;
    throw new BerthError('invalid', (error as Error).message, { hint: DAEMON_USAGE });
  }
}
