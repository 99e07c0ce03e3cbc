/** The four forms as a client of the API has them: started, asked, stopped, removed, weighed. Times in milliseconds. */
import fs from 'node:fs';
import path from 'node:path';
import { Client } from '../../../src/client/client.ts';
import { FRAME } from '../../../src/lib/frames.ts';
import type { Form } from '../../../src/model/forms.ts';
import type { TestDaemon } from '../../lib/daemon.ts';
import { until } from '../../lib/until.ts';
import { timed } from '../figures.ts';

export const MIB = 1024 * 1024;
const PATIENCE_MS = 600_000;
/** Says a word when it runs, and obeys TERM at once. */
export const WORKLOAD = ['sh', '-c', "trap 'exit 0' TERM; echo up; while :; do sleep 100000 & wait $!; done"];
export const IMAGE: Readonly<Record<Form, string>> = { appContainer: 'busybox', osContainer: 'system', microVM: 'busybox', vm: 'system' };
export const SPEC: Readonly<Record<Form, Readonly<Record<string, unknown>>>> = {
  appContainer: { isolation: 'container', mode: 'app', command: WORKLOAD },
  osContainer: { isolation: 'container', mode: 'os' },
  microVM: { isolation: 'vm', mode: 'app', command: WORKLOAD, memoryBytes: 128 * MIB },
  vm: { isolation: 'vm', mode: 'os', memoryBytes: 512 * MIB },
};

export class RunningForms {
  readonly client: Client;
  readonly #daemon: TestDaemon;

  constructor(daemon: TestDaemon) {
    this.#daemon = daemon;
    this.client = new Client({ host: `unix:${daemon.socketPath}` });
  }

  /** From the request until it answers: an application has said its word, a system's init has brought it up. */
  start(form: Form, name: string, more: Readonly<Record<string, unknown>> = {}): Promise<number> {
    return timed(async () => {
      await this.#daemon.ok('POST', `/v1/projects/default/instances?waitMs=${PATIENCE_MS}`, { meta: { name }, spec: { ...SPEC[form], image: IMAGE[form], running: true, ...more } });
      await this.#answers(form, name);
    });
  }

  async #answers(form: Form, name: string): Promise<void> {
    if (form === 'osContainer' || form === 'vm') {
      const { state } = await this.client.call('instance.wait', { name, query: { state: 'booted,stopped,failed', timeoutMs: PATIENCE_MS } });
      if (state === 'stopped' || state === 'failed') throw new Error(`${name} is ${state}`);
      return;
    }
    const dir = path.join(this.#daemon.rootDir, 'logs', (await this.#daemon.instance(name)).meta.id as string);
    await until(() => fs.readdirSync(dir).some((file) => fs.readFileSync(path.join(dir, file), 'latin1').includes(' up\n')), { deadlineMs: PATIENCE_MS, intervalMs: 1, what: `the first word of ${name}` });
  }

  /** Executes it in the instance; what it printed. */
  async output(name: string, ...command: readonly string[]): Promise<string> {
    const stream = await this.client.stream('instance.exec', { name }, { command });
    let text = '';
    try {
      for await (const frame of stream.frames()) {
        if (frame.type === FRAME.stdout) text += Buffer.from(frame.payload).toString('latin1');
        if (frame.type === FRAME.exit) break;
      }
    } finally {
      stream.close();
    }
    return text;
  }

  stop(name: string): Promise<number> {
    return timed(() => this.#daemon.ok('POST', `/v1/projects/default/instances/${name}/stop?waitMs=${PATIENCE_MS}`));
  }

  /** One whose creation was refused is not there: that must not hide why. */
  async remove(...names: readonly string[]): Promise<void> {
    await Promise.all(names.map(async (name) => {
      const { status, body } = await this.#daemon.request('DELETE', `/v1/projects/default/instances/${name}?force=1&waitMs=${PATIENCE_MS}`);
      if (status > 299 && status !== 404) throw new Error(`${name} was not removed: ${JSON.stringify(body)}`);
    }));
  }

  /** PSS of all of their processes and monitors. */
  async memoryBytes(names: readonly string[]): Promise<number> {
    let sum = 0;
    for (const name of names) {
      const { memoryBytes, monitorMemoryBytes } = await this.client.call('instance.evidence', { name });
      sum += memoryBytes + monitorMemoryBytes;
    }
    return sum;
  }

  /** Of the writable parts of all instances. */
  async diskBytes(): Promise<number> {
    const { items } = await this.client.call('system.df');
    return items.find((one) => one.what === 'instances')?.bytes ?? 0;
  }
}
