/**
 * The host's switches for forwarding packets, turned on when the first root needs them and put back when the last one
 * does not. The values found before are kept in the lease directory, because they outlive every daemon.
 */
import fs from 'node:fs';
import path from 'node:path';
import { readBounded, writeFileAtomic } from './files.ts';
import type { LeaseDirectory } from './lease-directory.ts';
import { Links } from './links.ts';

interface Before {
  /** Path below the sysctl directory → value found. */
  readonly values: Readonly<Record<string, string>>;
  /** Interfaces between which nothing was forwarded until then. */
  readonly guarded: readonly string[];
}

export interface ForwardingOptions {
  readonly leases: LeaseDirectory;
  /** /proc/sys/net */
  readonly sysctlDir?: string | undefined;
}

const IPV4 = 'ipv4/ip_forward', IPV6 = 'ipv6/conf/all/forwarding';

export class Forwarding {
  readonly #leases: LeaseDirectory;
  readonly #dir: string;

  constructor({ leases, sysctlDir }: ForwardingOptions) {
    this.#leases = leases;
    this.#dir = sysctlDir ?? '/proc/sys/net';
  }

  /** Forwarding is on when it resolves. Answers the interfaces between which it must stay off. */
  async need(): Promise<readonly string[]> {
    return this.#leases.locked(async (own) => {
      const before = (await this.#before()) ?? await this.#turnOn();
      await this.#ensureOn();
      return { own: { ...own, forwarding: true }, result: before.guarded };
    });
  }

  /** This root does not need it any more; the last one puts the host's own values back. */
  async release(): Promise<void> {
    await this.#leases.locked(async (own, others) => {
      if (!others.some((other) => other.forwarding)) await this.#putBack();
      return { own: { ...own, forwarding: false }, result: undefined };
    });
  }

  async isOn(): Promise<boolean> {
    return (await this.#read(IPV4)) === '1' && (await this.#read(IPV6)) === '1';
  }

  get #file(): string {
    return path.join(this.#leases.dir, 'forwarding.json');
  }

  async #before(): Promise<Before | undefined> {
    try {
      return JSON.parse((await readBounded(this.#file, 1024 * 1024)).toString('utf8')) as Before;
    } catch {
      return undefined;
    }
  }

  async #turnOn(): Promise<Before> {
    using links = new Links();
    const names = (await links.list()).filter((link) => link.name !== 'lo').map((link) => link.name);
    const values: Record<string, string> = {};
    const ipv4Off = (await this.#read(IPV4)) === '0';
    const ipv6Off = (await this.#read(IPV6)) === '0';
    if (ipv4Off) values[IPV4] = '0';
    if (ipv6Off) {
      values[IPV6] = '0';
      // Turning it on makes the host ignore router advertisements (accept_ra 1) and drop the default route they gave;
      // 2 means: accept them as a router too. The per-interface switches follow `all`, so each is kept as well.
      for (const name of [...names, 'default', 'lo']) {
        for (const key of [`ipv6/conf/${name}/forwarding`, `ipv6/conf/${name}/accept_ra`]) {
          const value = await this.#read(key);
          if (value !== undefined) values[key] = value;
        }
      }
    }
    const before: Before = { values, guarded: ipv4Off || ipv6Off ? names : [] };
    await writeFileAtomic(this.#file, `${JSON.stringify(before)}\n`);
    for (const name of ipv6Off ? names : []) if (values[`ipv6/conf/${name}/accept_ra`] === '1') await this.#write(`ipv6/conf/${name}/accept_ra`, '2');
    return before;
  }

  async #ensureOn(): Promise<void> {
    for (const key of [IPV4, IPV6]) if ((await this.#read(key)) === '0') await this.#write(key, '1');
  }

  async #putBack(): Promise<void> {
    const before = await this.#before();
    if (before === undefined) return;
    const keys = Object.keys(before.values).toSorted((a, b) => Number(b === IPV6) - Number(a === IPV6)); // `all` first: it writes to each
    for (const key of keys) await this.#write(key, before.values[key]!);
    await fs.promises.rm(this.#file, { force: true });
  }

  async #read(key: string): Promise<string | undefined> {
    return fs.promises.readFile(path.join(this.#dir, key), 'latin1').then((text) => text.trim(), () => undefined);
  }

  /** An interface may be gone by now; a host without IPv6 has none of its switches. */
  async #write(key: string, value: string): Promise<void> {
    await fs.promises.writeFile(path.join(this.#dir, key), value).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}
