/** Makes a template: boots a machine that has no owner, no image, no network and no name, and keeps its memory at the moment where its agent waits. */
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { FRAME } from '../../../model/agent-protocol.ts';
import { BerthError } from '../../../model/errors.ts';
import type { UnitPlan } from '../driver.ts';
import { AgentLink } from './agent-link.ts';
import { bootError, getsOn, startMachine, type BootParts } from './boot-unit.ts';
import { JAIL } from './command-line.ts';
import { templateMac } from './machine.ts';
import { qmpCommands } from './qmp.ts';

/** Of the devices; the memory is not in it. */
const MAX_STATE_BYTES = 16 * 1024 * 1024;
const LOOK_AGAIN_MS = 10;
const BLANK_BYTES = 4096;

export interface TemplateFiles {
  readonly ramFile: string;
  readonly stateFile: string;
}

/** The shape of a plan and nothing else of it: what a template holds is nobody's. */
export function blankPlan(plan: UnitPlan, id: UnitPlan['id'], blankFile: string): UnitPlan {
  return {
    id, name: 'template', project: '', hostname: '', form: 'microVM', stdin: false, init: false, capabilities: [], noNewPrivileges: true, rlimits: [], mounts: [], tmpfs: [],
    process: { args: [], env: [], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: false },
    // It runs beside machines that somebody waits for.
    resources: { memoryBytes: plan.resources.memoryBytes, cpus: plan.resources.cpus, cpuWeight: 1 },
    root: { layers: [], imageFile: blankFile, ...(plan.root.upperDisk === undefined ? {} : { upperDisk: blankFile }), readOnly: true, volatile: true },
    kernelDir: plan.kernelDir, shmBytes: 0, sysctls: {}, log: { maxBytes: 64 * 1024, maxFiles: 1 }, stopSignal: 'SIGKILL',
    network: { nameservers: [], searchDomains: [], interfaces: plan.network.interfaces.map((_one, index) => ({ name: `eth${index}`, mac: templateMac(index), mtu: 1500, addresses: [], gateways: [] })) },
  };
}

/** What was made stays: `remove` of the unit takes it away. The files are whole when it resolves. */
export async function makeTemplate(plan: UnitPlan, files: TemplateFiles, parts: BootParts): Promise<void> {
  const { unit, deadlines, record, signal } = parts;
  fs.writeFileSync(files.ramFile, '', { mode: 0o600 });
  fs.truncateSync(files.ramFile, record.memoryBytes);
  fs.writeFileSync(plan.root.imageFile!, Buffer.alloc(BLANK_BYTES), { mode: 0o600 });
  await using sink = await openSink(unit.saveSocket, files.stateFile);
  const { process } = await startMachine(plan, parts, { memory: 'template', ramFile: files.ramFile, saveSocket: unit.saveSocket });
  parts.options.timings?.('blank boots');
  {
    // It has what nobody else wants of the processors.
    const hangs = new AbortController();
    const answers = AgentLink.connect(unit.agentSocket, record.nonce, deadlines.bootTotalMs, signal === undefined ? hangs.signal : AbortSignal.any([signal, hangs.signal]));
    using link = await getsOn(answers, process, deadlines).catch((error: Error) => {
      hangs.abort(error);
      throw bootError(error, unit);
    });
    await link.request(FRAME.prepare, {}, deadlines.prepareMs);
  }
  parts.options.timings?.('blank answered');
  await qmpCommands(unit.qmpSocket, [
    { execute: 'migrate-set-capabilities', arguments: { capabilities: [{ capability: 'x-ignore-shared', state: true }] } },
    { execute: 'migrate', arguments: { uri: `unix:${JAIL.save}` } },
  ], deadlines.answerMs, signal);
  const end = performance.now() + deadlines.prepareMs;
  for (;;) {
    const { status } = await qmpCommands(unit.qmpSocket, [{ execute: 'query-migrate' }], deadlines.answerMs, signal) as { readonly status?: unknown };
    if (status === 'completed') break;
    if (status === 'failed' || status === 'cancelled' || performance.now() > end) throw new BerthError('unavailable', 'QEMU did not give the state of a template.');
    await pause(LOOK_AGAIN_MS, undefined, { signal });
  }
  await sink.whole(deadlines.answerMs);
  parts.options.timings?.('saved');
}

interface Sink extends AsyncDisposable {
  /** Resolves when all that came is in the file. */
  whole(timeoutMs: number): Promise<void>;
}

/** A socket that takes one stream into a file. In a directory that is root's alone: who has it in its jail can connect. */
async function openSink(socketPath: string, file: string): Promise<Sink> {
  const server = net.createServer({ pauseOnConnect: true });
  server.maxConnections = 1;
  const stored = new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('connection', (socket) => {
      const out = fs.createWriteStream(file, { mode: 0o600 });
      let bytes = 0;
      socket.on('data', (chunk) => {
        bytes += chunk.length;
        if (bytes > MAX_STATE_BYTES) socket.destroy(new BerthError('unavailable', 'The state of a template is larger than it can be.'));
      });
      socket.once('error', reject);
      out.once('error', reject);
      out.once('finish', resolve);
      socket.pipe(out);
      socket.resume();
    });
  });
  stored.catch(() => undefined);
  server.listen(socketPath);
  await once(server, 'listening');
  fs.chmodSync(socketPath, 0o666);
  return {
    whole: (timeoutMs) => Promise.race([stored, pause(timeoutMs, undefined, { ref: false }).then(() => { throw new BerthError('timeout', 'The state of a template did not come.'); })]),
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
