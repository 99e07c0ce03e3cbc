/**
 * The daemon's side of `berth-native userns`: pairs of user and network namespaces, made in a small process of their
 * own (no thread of Node may change its user namespace, and the kernel may make the maker wait). The process ends with
 * this one, and with it every namespace that nobody took.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { constants } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { BerthError } from '../model/errors.ts';
import { closeDescriptor, openDescriptor, systemError } from './libc.ts';
import { PLAIN_ENV } from './run.ts';

export interface SandboxInterface {
  /** Name on this side, at most 15 characters. */
  readonly hostName: string;
  /** Index of the bridge that the host's side joins. */
  readonly bridge: number;
  readonly mtu: number;
  /** The bridge carries nothing between two isolated ports. */
  readonly isolated: boolean;
  readonly innerName: string;
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv4PrefixLength: number;
  readonly ipv4Gateway: string | undefined;
  readonly ipv6: string;
  readonly ipv6PrefixLength: number;
  readonly ipv6Gateway: string | undefined;
}

export interface NamespacePair {
  /** Descriptors of this process, close-on-exec. */
  readonly userNamespaceFd: number;
  readonly networkNamespaceFd: number;
}

interface Waiting {
  readonly resolve: (pair: NamespacePair) => void;
  readonly reject: (error: unknown) => void;
}

interface Helper {
  readonly process: ChildProcessByStdio<Writable, Readable, null>;
  readonly waiting: Map<number, Waiting>;
}

const FIELD = /^[0-9a-zA-Z.:-]{1,64}$/;

export class SandboxMaker implements AsyncDisposable {
  readonly #program: string;
  #helper: Helper | undefined;
  #sequence = 0;

  constructor(program: string) {
    this.#program = program;
  }

  /** `idBase` on the host becomes 0 inside. Interfaces are up and addressed when it resolves; `lo` always is. */
  open(idBase: number, idCount: number, interfaces: readonly SandboxInterface[]): Promise<NamespacePair> {
    const sequence = ++this.#sequence;
    const fields = ['open', sequence, idBase, idCount, ...interfaces.flatMap((i) => [i.hostName, i.bridge, i.mtu, i.isolated ? 1 : 0, i.innerName, i.mac, i.ipv4, i.ipv4PrefixLength, i.ipv4Gateway ?? '-', i.ipv6, i.ipv6PrefixLength, i.ipv6Gateway ?? '-'])].map(String);
    // The line is a protocol: a field that could be two would be an injection.
    const wrong = fields.find((field) => !FIELD.test(field));
    if (wrong !== undefined) return Promise.reject(new BerthError('internal', `A field of a sandbox request is not fit to be sent: ${JSON.stringify(wrong.slice(0, 80))}.`));
    return new Promise((resolve, reject) => {
      const helper = this.#running();
      helper.waiting.set(sequence, { resolve, reject });
      helper.process.stdin.write(`${fields.join(' ')}\n`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#helper?.process;
    if (child === undefined) return;
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.stdin.end();
    await gone;
  }

  #running(): Helper {
    if (this.#helper !== undefined) return this.#helper;
    const child = spawn(this.#program, ['userns'], { cwd: '/', env: { ...PLAIN_ENV }, stdio: ['pipe', 'pipe', 'inherit'] });
    const helper: Helper = { process: child, waiting: new Map() };
    this.#helper = helper;
    const lost = (cause?: Error): void => {
      if (this.#helper === helper) this.#helper = undefined;
      for (const who of helper.waiting.values()) who.reject(new BerthError('unavailable', 'The maker of sandboxes ended before it answered.', { cause, hint: 'Trying again starts a new one.' }));
      helper.waiting.clear();
    };
    child.on('error', lost);
    child.on('close', () => lost());
    child.stdin.on('error', () => undefined); // `close` says it
    let rest = '';
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.#heard(helper, line);
    });
    return helper;
  }

  #heard(helper: Helper, line: string): void {
    const [word, sequence, value, step] = line.split(' ');
    const who = helper.waiting.get(Number(sequence));
    helper.waiting.delete(Number(sequence));
    if (word !== 'ok') return who?.reject(systemError(`sandbox: ${step ?? 'unknown step'}`, Number(value)));
    try {
      const userNamespaceFd = openDescriptor(`/proc/${Number(value)}/ns/user`, constants.O_RDONLY);
      try {
        const networkNamespaceFd = openDescriptor(`/proc/${Number(value)}/ns/net`, constants.O_RDONLY);
        who?.resolve({ userNamespaceFd, networkNamespaceFd });
      } catch (error) {
        closeDescriptor(userNamespaceFd);
        throw error;
      }
    } catch (error) {
      who?.reject(error);
    } finally {
      helper.process.stdin.write(`drop ${Number(value)}\n`);
    }
  }
}
