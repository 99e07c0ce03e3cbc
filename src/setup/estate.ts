/** The base images and the example estate that `up` brings, and how one sees that the estate answers. */
import net from 'node:net';
import path from 'node:path';
import { BerthError } from '../model/errors.ts';
import { FORM_LABEL, type Form } from '../model/forms.ts';

export interface LocalImage {
  /** Argument of `berth image bootstrap`. */
  readonly base: string;
  readonly include?: readonly string[];
  readonly as: string;
}

const SUITES = ['bookworm', 'trixie'];
const USUAL_SUITE = 'bookworm';

/** The distribution of the host where we know it: its mirror is near and its packages may be cached. os-release(5). */
export function suiteOf(osRelease: string): string {
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(osRelease)?.[1] ?? '';
  return SUITES.includes(codename) ? codename : USUAL_SUITE;
}

export function localImages(suite: string): readonly LocalImage[] {
  return [
    { base: 'busybox', as: 'busybox' },
    { base: `debian:${suite}`, as: `debian:${suite}` },
    { base: `debian:${suite}`, include: ['postgresql'], as: 'postgres' },
    { base: `debian:${suite}`, include: ['nginx-light', 'postgresql-client'], as: 'web' },
  ];
}

export function estateFile(home: string): string {
  return path.join(home, 'examples/estate.yaml');
}

/** What `up` reads of an Instance in `berth list -o json`. */
export interface ListedInstance {
  readonly meta: { readonly name: string; readonly project: string; readonly owner?: string };
  readonly status: {
    readonly state: string;
    readonly form: string;
    readonly addresses: Readonly<Record<string, readonly string[]>>;
    readonly published: readonly { readonly protocol: string; readonly hostAddress: string; readonly hostPort: number; readonly targetPort: number }[];
    readonly error?: { readonly message: string } | undefined;
  };
}

export function parseInstances(json: string): readonly ListedInstance[] {
  const list = JSON.parse(json) as unknown;
  if (!Array.isArray(list)) throw new BerthError('internal', 'berth list -o json did not print an array.');
  return list as readonly ListedInstance[];
}

const ANSWER_TIMEOUT_MS = 3000;
/** A server that waits for its client to speak has answered by accepting, if it does not hang up. */
const SILENCE_MS = 1000;

/** Does a service answer there? An HTTP server must not answer with a server error. */
export function answers(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: address, port });
    const end = (result: boolean): void => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(result);
    };
    const deadline = setTimeout(() => end(false), ANSWER_TIMEOUT_MS);
    let silence: NodeJS.Timeout | undefined;
    socket.once('connect', () => {
      socket.write('GET / HTTP/1.0\r\nHost: localhost\r\n\r\n');
      silence = setTimeout(() => end(true), SILENCE_MS);
    });
    socket.once('data', (data) => {
      clearTimeout(silence);
      const status = /^HTTP\/\d\.\d (\d{3})/.exec(data.toString('latin1'))?.[1];
      end(status === undefined || Number(status) < 500);
    });
    for (const event of ['error', 'close'] as const) {
      socket.once(event, () => {
        clearTimeout(silence);
        end(false);
      });
    }
  });
}

/** Instances that do not run, and published TCP ports that do not answer, each as a few words. */
export async function notYetAnswering(instances: readonly ListedInstance[], answer = answers): Promise<readonly string[]> {
  const waiting: string[] = [];
  for (const { meta, status } of instances) {
    if (status.state === 'failed') throw new BerthError('unavailable', `${meta.name} failed: ${status.error?.message ?? 'no reason given'}.`, { hint: `berth why ${meta.name}; berth logs ${meta.name}` });
    if (status.state !== 'running') {
      waiting.push(`${meta.name} is ${status.state}`);
      continue;
    }
    for (const port of status.published.filter((one) => one.protocol === 'tcp')) {
      if (!(await answer(reachable(port.hostAddress), port.hostPort))) waiting.push(`${meta.name} on port ${port.hostPort}`);
    }
  }
  return [...new Set(waiting)];
}

function reachable(address: string): string {
  return address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
}

/** Columns as wide as their widest cell. */
export function estateTable(instances: readonly ListedInstance[]): string {
  const rows = instances.map(({ meta, status }) => [
    meta.name, FORM_LABEL[status.form as Form] ?? status.form, status.state,
    Object.values(status.addresses).flatMap((all) => all.slice(0, 1)).join(' ') || '-',
    [...new Set(status.published.map((port) => (port.protocol === 'tcp' ? `http://${port.hostAddress.includes(':') ? `[${port.hostAddress}]` : port.hostAddress}:${port.hostPort}/` : `${port.hostAddress}:${port.hostPort}/udp`)))].join(' ') || '-',
  ]);
  const table = [['NAME', 'FORM', 'STATE', 'ADDRESS', 'ANSWERS AT'], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd()).join('\n') + '\n';
}
