/**
 * Where the roots of one machine agree on what each machine has once. One file per root, one lock for all, both gone
 * with a reboot, like what they speak of. Nothing here waits on the event loop.
 */
import fs from 'node:fs';
import { constants } from 'node:fs';
import path from 'node:path';
import { closeDescriptor, libc, openDescriptor } from './libc.ts';
import { readBounded, writeFileAtomic } from './files.ts';

const LOCK_EX = 2;
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const flock = libc('int flock(int fd, int operation)');

export interface SubnetLease {
  /** Gateway address and length: 10.89.0.1/24. */
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface PortLease {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
}

/** What one root holds. */
export interface RootLeases {
  readonly tag: string;
  readonly rootDir: string;
  /** The root directory's device and inode: a directory made anew under the same path is another root. */
  readonly identity: string;
  readonly idChunks: readonly number[];
  readonly vmUidChunks: readonly number[];
  readonly subnets: readonly SubnetLease[];
  readonly ports: readonly PortLease[];
  /** This root needs the host to forward packets. */
  readonly forwarding: boolean;
}

export interface LeaseOwner {
  readonly leaseDir: string;
  readonly rootTag: string;
  readonly rootDir: string;
}

export class LeaseDirectory {
  readonly #owner: LeaseOwner;
  #last: Promise<unknown> = Promise.resolve();

  constructor(owner: LeaseOwner) {
    this.#owner = owner;
  }

  get dir(): string {
    return this.#owner.leaseDir;
  }

  /** Runs `work` while no other root of this machine does; `others` are those whose root still exists. */
  locked<T>(work: (own: RootLeases, others: readonly RootLeases[]) => Promise<{ readonly own?: RootLeases; readonly result: T }>): Promise<T> {
    const turn = this.#last.then(() => this.#locked(work));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #locked<T>(work: (own: RootLeases, others: readonly RootLeases[]) => Promise<{ readonly own?: RootLeases; readonly result: T }>): Promise<T> {
    await fs.promises.mkdir(this.dir, { recursive: true, mode: 0o700 });
    const fd = openDescriptor(path.join(this.dir, 'lock'), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW);
    try {
      await new Promise<void>((resolve, reject) => {
        (flock as unknown as { async(...args: unknown[]): void }).async(fd, LOCK_EX, (error: unknown, result: number) => {
          if (error === null && result === 0) resolve();
          else reject(error instanceof Error ? error : new Error('flock failed'));
        });
      });
      const { own, others } = await this.#read();
      const outcome = await work(own, others);
      if (outcome.own !== undefined && JSON.stringify(outcome.own) !== JSON.stringify(own)) await writeFileAtomic(this.#file(this.#owner.rootTag), `${JSON.stringify(outcome.own)}\n`);
      return outcome.result;
    } finally {
      closeDescriptor(fd);
    }
  }

  /** This root gives everything back. */
  async forget(): Promise<void> {
    await this.locked(async () => {
      await fs.promises.rm(this.#file(this.#owner.rootTag), { force: true });
      return { result: undefined };
    });
  }

  async #read(): Promise<{ own: RootLeases; others: RootLeases[] }> {
    const identity = await identityOf(this.#owner.rootDir) ?? '';
    let own: RootLeases = { tag: this.#owner.rootTag, rootDir: this.#owner.rootDir, identity, idChunks: [], vmUidChunks: [], subnets: [], ports: [], forwarding: false };
    const others: RootLeases[] = [];
    for (const name of await fs.promises.readdir(this.dir)) {
      if (!/^root-[0-9a-z]{6}\.json$/.test(name)) continue;
      const file = path.join(this.dir, name);
      const leases = parse(await readBounded(file, MAX_FILE_BYTES));
      if (leases === undefined || leases.identity !== await identityOf(leases.rootDir)) {
        // The root vanished, or the file was torn by a full disk: what it held is free again. What still runs of it is
        // seen in the world itself: uid maps, addresses, sockets.
        await fs.promises.rm(file, { force: true });
      } else if (leases.tag === this.#owner.rootTag) own = leases;
      else others.push(leases);
    }
    return { own, others };
  }

  #file(tag: string): string {
    return path.join(this.dir, `root-${tag}.json`);
  }
}

async function identityOf(dir: string): Promise<string | undefined> {
  const stat = await fs.promises.stat(dir, { bigint: true }).catch(() => undefined);
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}

function parse(bytes: Buffer): RootLeases | undefined {
  try {
    const value = JSON.parse(bytes.toString('utf8')) as RootLeases;
    const good = typeof value.tag === 'string' && typeof value.rootDir === 'string' && typeof value.identity === 'string'
      && [value.idChunks, value.vmUidChunks, value.subnets, value.ports].every(Array.isArray);
    return good ? value : undefined;
  } catch {
    return undefined;
  }
}
