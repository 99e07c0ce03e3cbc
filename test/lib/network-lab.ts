/** A network driver on a root of its own, in the test's own network namespace, and the means to look from inside. */
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { bridgeNetwork } from '../../src/drivers/network/bridge/bridge-network.ts';
import type { BridgeNetworkOptions } from '../../src/drivers/network/bridge/bridge-network.ts';
import type { NetworkDriver, NetworkPlan, PortPlan, Sandbox } from '../../src/drivers/network/driver.ts';
import { Links } from '../../src/host/links.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';
import { run } from '../../src/host/run.ts';
import type { RunResult } from '../../src/host/run.ts';
import { makeObjectId } from '../../src/model/ids.ts';
import type { ObjectId } from '../../src/model/ids.ts';
import { patient } from './patience.ts';
import { until } from './until.ts';

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';
export const randomText = (length: number): string => [...crypto.randomBytes(length)].map((byte) => LETTERS[byte % 36]).join('');
export const newId = (): ObjectId => makeObjectId(crypto.randomBytes(12));

let probeDir: string | undefined;

/** The C program beside this file, built once per test process. */
async function probe(): Promise<string> {
  if (probeDir === undefined) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-probe-'));
    probeDir = dir;
    process.once('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
    await run('gcc', ['-std=gnu17', '-O1', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', '-o', path.join(dir, 'netprobe'), path.join(import.meta.dirname, 'netprobe.c'), '-lpthread']);
  }
  return path.join(probeDir, 'netprobe');
}

/** A member of a network, on a cable of either kind, with eyes and hands at its end. */
export interface Station {
  readonly port: PortPlan;
  /** Path of its network namespace. */
  readonly namespace: string;
  /** Frames as hexadecimal text. */
  send(frames: readonly string[]): Promise<void>;
  capture(): Promise<Capture>;
}

export interface Capture {
  /** All frames up to the one given; the capture ends. */
  until(frame: string): Promise<readonly string[]>;
}

/** Where something runs: in a sandbox, on a neighbour, or (nothing given) on the host. */
export type Place = Sandbox | Neighbour | undefined;

export interface Neighbour {
  readonly here4: string;
  readonly here6: string;
  readonly there4: string;
  readonly there6: string;
  run(args: readonly string[], timeoutMs?: number): Promise<RunResult>;
  start(args: readonly string[]): ReturnType<typeof spawn>;
}

export class NetworkLab implements AsyncDisposable {
  readonly dir: string;
  readonly options: BridgeNetworkOptions;
  driver: NetworkDriver;
  readonly #plans = new Map<ObjectId, NetworkPlan>();
  readonly #next = new Map<ObjectId, number>();
  readonly #sandboxes = new Set<Sandbox>();
  readonly #taps: PortPlan[] = [];
  #neighbours = 0;
  readonly #children = new Set<ReturnType<typeof spawn>>();

  constructor(dir: string, options: Partial<BridgeNetworkOptions> = {}) {
    this.dir = dir;
    for (const name of ['root', 'run', 'leases']) fs.mkdirSync(path.join(dir, name), { recursive: true, mode: 0o755 });
    this.options = {
      rootDir: path.join(dir, 'root'),
      runDir: path.join(dir, 'run'),
      leaseDir: path.join(dir, 'leases'),
      rootTag: randomText(6),
      nativeProgram: NATIVE_PROGRAM,
      ...options,
    };
    this.driver = bridgeNetwork(this.options);
  }

  static async open(options: Partial<BridgeNetworkOptions> = {}): Promise<NetworkLab> {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-net-'));
    fs.chmodSync(dir, 0o711);
    using links = new Links();
    await links.setUp(1);
    return new NetworkLab(dir, options);
  }

  /** What a killed daemon leaves: the driver's process is gone, the kernel's things stay. */
  async restart(): Promise<void> {
    await this.driver[Symbol.asyncDispose]();
    this.driver = bridgeNetwork(this.options);
  }

  async network(wish: Partial<NetworkPlan> = {}): Promise<NetworkPlan> {
    const subnet = await this.driver.leaseSubnet();
    const plan: NetworkPlan = { id: newId(), name: `net${this.#plans.size}`, project: 'default', isolated: false, internal: false, mtu: 1500, ...subnet, ...wish };
    await this.driver.ensureNetwork(plan);
    this.#plans.set(plan.id, plan);
    return plan;
  }

  port(plan: NetworkPlan, interfaceName = 'eth0'): PortPlan {
    const number = (this.#next.get(plan.id) ?? 9) + 1;
    this.#next.set(plan.id, number);
    const host = (gateway: string): string => gateway.replace(/1$/, gateway.includes(':') ? number.toString(16) : String(number));
    return {
      portId: randomText(8), network: plan.id, interfaceName, ipv4: host(plan.ipv4.gateway), ipv6: host(plan.ipv6.gateway),
      mac: `02:${[...crypto.randomBytes(5)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`,
    };
  }

  /** Closed with the lab. */
  async sandbox(...plans: readonly NetworkPlan[]): Promise<Sandbox> {
    const sandbox = await this.driver.openSandbox({ ports: plans.map((plan, i) => this.port(plan, `eth${i}`)) });
    this.#sandboxes.add(sandbox);
    return sandbox;
  }

  /** Runs a program with the sandbox's network, as host root. */
  inside(sandbox: Sandbox, args: readonly string[], timeoutMs = 10_000): Promise<RunResult> {
    return run('nsenter', [`--net=/proc/${process.pid}/fd/${sandbox.networkNamespaceFd}`, '--', ...args], { allowFailure: true, timeoutMs: patient(timeoutMs) });
  }

  /**
   * A machine beside this host, on a cable of its own: 198.51.100.1 and 2001:db8:1::1 here, .2 and ::2 there. It knows
   * no way to the bridges unless a test gives it one.
   */
  async neighbour(): Promise<Neighbour> {
    const child = this.start(undefined, ['unshare', '--net', '--', 'sh', '-c', 'echo ready; exec sleep 1000']);
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    const at = ['nsenter', `--net=/proc/${child.pid}/ns/net`, '--'];
    const number = ++this.#neighbours;
    const near = `near${number}`;
    for (const args of [
      ['ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', 'far', 'netns', String(child.pid)],
      ['ip', 'addr', 'add', `198.51.${99 + number}.1/24`, 'dev', near],
      ['ip', '-6', 'addr', 'add', `2001:db8:${number}::1/64`, 'dev', near, 'nodad'],
      // Without duplicate detection the cable works at once.
      ['sh', '-c', `echo 0 >/proc/sys/net/ipv6/conf/${near}/accept_dad`],
      [...at, 'sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/far/accept_dad'],
      ['ip', 'link', 'set', near, 'up'],
      [...at, 'ip', 'link', 'set', 'lo', 'up'],
      [...at, 'ip', 'addr', 'add', `198.51.${99 + number}.2/24`, 'dev', 'far'],
      [...at, 'ip', '-6', 'addr', 'add', `2001:db8:${number}::2/64`, 'dev', 'far', 'nodad'],
      [...at, 'ip', 'link', 'set', 'far', 'up'],
    ]) await run(args[0]!, args.slice(1));
    return {
      here4: `198.51.${99 + number}.1`, here6: `2001:db8:${number}::1`, there4: `198.51.${99 + number}.2`, there6: `2001:db8:${number}::2`,
      run: (args, timeoutMs = 10_000) => run(at[0]!, [...at.slice(1), ...args], { allowFailure: true, timeoutMs: patient(timeoutMs) }),
      start: (args) => this.start(undefined, [...at, ...args]),
    };
  }

  async probeIn(place: Place, args: readonly string[], timeoutMs = 10_000): Promise<RunResult> {
    const all = [await probe(), ...args];
    if (place === undefined) return run(all[0]!, all.slice(1), { allowFailure: true, timeoutMs: patient(timeoutMs) });
    return 'there4' in place ? place.run(all, timeoutMs) : this.inside(place, all, timeoutMs);
  }

  /** What a connection, or a datagram, to there gives back: the address that the server saw, or `no ERRNO`. */
  async ask(place: Place, protocol: 'tcp' | 'udp', address: string, port: number): Promise<string> {
    return (await this.probeIn(place, ['ask', protocol, address, String(port)])).stdout.split('\n')[0]!;
  }

  /** A server that answers with the address of who asks; it listens when this resolves. */
  async serve(place: Place, protocol: 'tcp' | 'udp', address: string, port: number): Promise<ReturnType<typeof spawn>> {
    return this.#ready(place, ['serve', protocol, address, String(port)]);
  }

  async #ready(place: Place, args: readonly string[]): Promise<ReturnType<typeof spawn>> {
    const all = [await probe(), ...args];
    const child = place === undefined ? this.start(undefined, all) : 'there4' in place ? place.start(all) : this.start(place, all);
    await new Promise<void>((resolve, reject) => {
      child.stdout!.once('data', () => resolve());
      child.once('close', () => reject(new Error(`${args.join(' ')} ended`)));
    });
    return child;
  }

  /** Frames that the host itself sends out of one of its interfaces. */
  async sendFromHost(interfaceName: string, frames: readonly string[]): Promise<void> {
    await run(await probe(), ['send', interfaceName], { input: `${frames.join('\n')}\n` });
  }

  /** The bridge that has a network's gateway. */
  async bridgeOf(plan: NetworkPlan): Promise<{ readonly name: string; readonly mac: string }> {
    const links = JSON.parse((await run('ip', ['-j', 'addr'])).stdout) as { ifname: string; address: string; addr_info: { local: string }[] }[];
    const { ifname, address } = links.find((link) => link.addr_info.some(({ local }) => local === plan.ipv4.gateway))!;
    return { name: ifname, mac: address };
  }

  /** Runs a program at a station. */
  at(station: Station, args: readonly string[], timeoutMs = 10_000): Promise<RunResult> {
    return run('nsenter', [`--net=${station.namespace}`, '--', ...args], { allowFailure: true, timeoutMs: patient(timeoutMs) });
  }

  async askAt(station: Station, protocol: 'tcp' | 'udp', address: string, port: number): Promise<string> {
    return (await this.at(station, [await probe(), 'ask', protocol, address, String(port)])).stdout.split('\n')[0]!;
  }

  /** A virtual machine's tap is played by a program that carries its frames to a namespace. */
  async station(plan: NetworkPlan, kind: 'veth' | 'tap', wish: Partial<PortPlan> = {}): Promise<Station> {
    const port = { ...this.port(plan), ...wish };
    const namespace = kind === 'veth' ? await this.#vethStation(port) : await this.#tapStation(plan, port);
    const at = ['nsenter', `--net=${namespace}`, '--', await probe()];
    return {
      port,
      namespace,
      send: async (frames) => {
        await run(at[0]!, [...at.slice(1), 'send', port.interfaceName], { input: `${frames.join('\n')}\n` });
      },
      capture: async () => {
        const child = this.start(undefined, [...at, 'capture', port.interfaceName]);
        const frames: string[] = [];
        let text = '';
        child.stdout!.setEncoding('latin1').on('data', (chunk: string) => {
          const lines = (text + chunk).split('\n');
          text = lines.pop()!;
          frames.push(...lines);
        });
        const has = (wanted: (frame: string) => boolean): Promise<unknown> => until(() => frames.some(wanted), { deadlineMs: 5_000, intervalMs: 5, what: 'the honest frame' });
        await has((line) => line === 'ready');
        return {
          until: async (frame) => {
            await has((other) => other === frame);
            const gone = new Promise((resolve) => child.once('close', resolve));
            child.kill('SIGKILL');
            await gone;
            return frames.slice(1, frames.indexOf(frame));
          },
        };
      },
    };
  }

  async #vethStation(port: PortPlan): Promise<string> {
    const sandbox = await this.driver.openSandbox({ ports: [port] });
    this.#sandboxes.add(sandbox);
    return `/proc/${process.pid}/fd/${sandbox.networkNamespaceFd}`;
  }

  async #tapStation(plan: NetworkPlan, port: PortPlan): Promise<string> {
    const { name, bridge } = await this.driver.prepareTap(port);
    this.#taps.push(port);
    const sandbox = await this.driver.openSandbox({ ports: [] });
    this.#sandboxes.add(sandbox);
    const namespace = `/proc/${process.pid}/fd/${sandbox.networkNamespaceFd}`;
    await this.#ready(undefined, ['cable', name, namespace, port.interfaceName, port.mac]);
    const inside = ['nsenter', `--net=${namespace}`, '--', 'ip'];
    for (const args of [
      ['ip', 'link', 'set', name, 'master', bridge, 'up'],
      [...inside, 'addr', 'add', `${port.ipv4}/${plan.ipv4.prefixLength}`, 'dev', port.interfaceName],
      [...inside, '-6', 'addr', 'add', `${port.ipv6}/64`, 'dev', port.interfaceName, 'nodad'],
      [...inside, 'link', 'set', port.interfaceName, 'up'],
      ...(plan.internal ? [] : [[...inside, 'route', 'add', 'default', 'via', plan.ipv4.gateway], [...inside, '-6', 'route', 'add', 'default', 'via', plan.ipv6.gateway]]),
    ]) await run(args[0]!, args.slice(1));
    return namespace;
  }

  /** Starts a program that runs until the lab closes. */
  start(sandbox: Sandbox | undefined, args: readonly string[]): ReturnType<typeof spawn> {
    const all = sandbox === undefined ? args : ['nsenter', `--net=/proc/${process.pid}/fd/${sandbox.networkNamespaceFd}`, '--', ...args];
    const child = spawn(all[0]!, all.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.add(child);
    child.on('close', () => this.#children.delete(child));
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    // The kernel takes its time to reap a namespace and the cable that ends in it; the next test uses the same names.
    for (let number = 1; number <= this.#neighbours; number++) await run('ip', ['link', 'delete', `near${number}`], { allowFailure: true });
    await this.driver.release(undefined, this.#taps);
    for (const sandbox of this.#sandboxes) await this.driver.closeSandbox(sandbox).catch(() => undefined);
    for (const id of this.#plans.keys()) await this.driver.removeNetwork(id);
    await this.driver[Symbol.asyncDispose]();
    const left = (await run('sh', ['-c', `grep -lsF ${this.dir} /proc/[0-9]*/cmdline | cut -d/ -f3 | grep -vx $$`], { allowFailure: true })).stdout.split('\n').filter((pid) => pid !== '' && fs.existsSync(`/proc/${pid}`));
    if (left.length > 0) throw new Error(`processes that outlive their network: ${left.map((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')).join('; ')}`);
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}
