/** The daemon's side of `berth-native proxy`: one process per root that carries loopback connections to published ports. */
import fs from 'node:fs';
import net from 'node:net';
import { exists } from './files.ts';
import { systemError } from './libc.ts';
import { identify, isAlive, signalProcess } from './process.ts';
import type { ProcessIdentity } from './process.ts';
import { run } from './run.ts';

export interface ProxiedPort {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  readonly targetAddress: string;
  readonly targetPort: number;
}

/** A port could not be bound: `code` is the errno's name, `port` which one. Nothing was changed. */
export interface PortRefused extends Error {
  readonly code: string;
  readonly port: ProxiedPort;
}

export interface PortProxyOptions {
  readonly program: string;
  /** At most 107 characters. */
  readonly socketPath: string;
  /** Whom it becomes. */
  readonly uid: number;
  readonly gid: number;
}

const PROTOCOL_VERSION = '1';
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_PORTS_PER_CHANGE = 250;
const NO_PORTS: readonly ProxiedPort[] = [];

export class PortProxy implements Disposable {
  readonly #options: PortProxyOptions;
  #connection: LineConnection | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: PortProxyOptions) {
    this.#options = options;
  }

  /** Takes away and adds in one step, all or nothing; a port in both keeps its socket. Starts the process if need be. */
  change(remove: readonly ProxiedPort[], add: readonly ProxiedPort[]): Promise<void> {
    return this.#exclusive(async () => {
      if (remove.length + add.length === 0) return;
      if (add.length === 0 && !(await this.#connected())) return; // it died and took its ports along
      const proxy = await this.#started();
      for (let at = 0; at === 0 || at < remove.length || at < add.length; at += MAX_PORTS_PER_CHANGE) await this.#commit(proxy, remove.slice(at, at + MAX_PORTS_PER_CHANGE), add.slice(at, at + MAX_PORTS_PER_CHANGE));
    });
  }

  /** What it carries now; nothing when it does not run. */
  list(): Promise<readonly ProxiedPort[]> {
    return this.#exclusive(async () => {
      const proxy = await this.#connected();
      if (proxy === undefined) return NO_PORTS;
      const lines = await proxy.ask('list\n', (line) => line === 'end');
      return lines.slice(0, -1).map((line): ProxiedPort => {
        const [protocol, address, port, targetAddress, targetPort] = line.split(' ');
        return { protocol: protocol === 'udp' ? 'udp' : 'tcp', address: address!, port: Number(port), targetAddress: targetAddress!, targetPort: Number(targetPort) };
      });
    });
  }

  async process(): Promise<ProcessIdentity | undefined> {
    return (await this.#exclusive(() => this.#connected()))?.process;
  }

  /** Ends the process and all that it carries. */
  quit(): Promise<void> {
    return this.#exclusive(async () => {
      const proxy = await this.#connected();
      if (proxy !== undefined) {
        proxy.end('quit\n');
        this.#connection = undefined;
        await gone(proxy.process);
      }
      await fs.promises.rm(this.#options.socketPath, { force: true });
    });
  }

  [Symbol.dispose](): void {
    this.#connection?.end('');
    this.#connection = undefined;
  }

  async #commit(proxy: LineConnection, remove: readonly ProxiedPort[], add: readonly ProxiedPort[]): Promise<void> {
    const text = [
      ...remove.map((port) => `- ${port.protocol} ${port.address} ${port.port}\n`),
      ...add.map((port) => `+ ${port.protocol} ${port.address} ${port.port} ${port.targetAddress} ${port.targetPort}\n`),
      'commit\n',
    ].join('');
    const [answer] = await proxy.ask(text, () => true);
    if (answer === 'ok') return;
    const [, index, errno] = (answer ?? '').split(' ').map(Number);
    throw Object.assign(systemError('bind', errno ?? 0), { port: add[index ?? 0] });
  }

  async #started(): Promise<LineConnection> {
    const there = await this.#connected();
    if (there !== undefined) return there;
    const { program, socketPath, uid, gid } = this.#options;
    await run(program, ['proxy', socketPath, String(uid), String(gid)], { timeoutMs: ANSWER_TIMEOUT_MS });
    const proxy = await this.#connected();
    if (proxy === undefined) throw systemError('connect', 111, 'the proxy of published ports');
    return proxy;
  }

  /** The running process of this root, also one that an earlier daemon started; one that speaks otherwise is ended. */
  async #connected(): Promise<LineConnection | undefined> {
    if (this.#connection?.open === true) return this.#connection;
    this.#connection = undefined;
    if (!(await exists(this.#options.socketPath))) return undefined;
    const connection = await LineConnection.open(this.#options.socketPath);
    if (connection === undefined) return undefined;
    const [name, version, pid] = ((await connection.ask('hello\n', () => true))[0] ?? '').split(' ');
    const process = identify(Number(pid));
    if (name !== 'proxy' || process === undefined) throw systemError('connect', 71, 'something else answers at the proxy’s socket');
    connection.process = process;
    if (version !== PROTOCOL_VERSION) {
      connection.end('quit\n');
      await gone(process);
      return undefined;
    }
    this.#connection = connection;
    return connection;
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

async function gone(process: ProcessIdentity): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (isAlive(process)) {
    if (performance.now() > deadline) signalProcess(process, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Questions and answers in lines, one at a time. */
class LineConnection {
  readonly #socket: net.Socket;
  #text = '';
  #lines: string[] = [];
  #wake: (() => void) | undefined;
  open = true;
  process!: ProcessIdentity;

  static open(path: string): Promise<LineConnection | undefined> {
    return new Promise((resolve) => {
      const socket = net.connect(path);
      socket.once('connect', () => resolve(new LineConnection(socket)));
      socket.once('error', () => resolve(undefined));
    });
  }

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.unref();
    socket.setEncoding('latin1').on('data', (chunk) => {
      const lines = (this.#text + String(chunk)).split('\n');
      this.#text = lines.pop()!;
      this.#lines.push(...lines);
      this.#wake?.();
    });
    const closed = (): void => {
      this.open = false;
      this.#wake?.();
    };
    socket.on('error', closed).on('close', closed);
  }

  /** Resolves with the lines up to the one that `last` accepts. */
  async ask(text: string, last: (line: string) => boolean): Promise<readonly string[]> {
    this.#socket.ref();
    const deadline = setTimeout(() => this.#socket.destroy(), ANSWER_TIMEOUT_MS);
    try {
      this.#lines = [];
      this.#socket.write(text);
      for (;;) {
        const at = this.#lines.findIndex(last);
        if (at >= 0) return this.#lines.slice(0, at + 1);
        if (!this.open) throw systemError('read', 104, 'the proxy of published ports');
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(deadline);
      this.#socket.unref();
    }
  }

  end(text: string): void {
    this.open = false;
    this.#socket.end(text);
  }
}
