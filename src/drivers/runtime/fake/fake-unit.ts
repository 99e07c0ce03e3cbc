/** One unit as the host sees it: its first process, its monitor, its log. It outlives the driver that made it. */
import type { ExitRecord, IoSession, OutputChunk, ProcessPlan, ResourcePlan, TerminalSize, UnitInfo, UnitPlan } from '../driver.ts';
import { BerthError } from '../../../model/errors.ts';
import { ChunkPipe } from './chunk-pipe.ts';
import { FakeProcess, type FakePlace } from './fake-process.ts';
import { runProgram, type FakeProgram, type FakeTimer } from './programs.ts';

export interface FakeLogLine {
  readonly atMs: number;
  readonly stream: OutputChunk['stream'];
  readonly text: string;
}

export class FakeUnit {
  readonly plan: UnitPlan;
  readonly info: UnitInfo;
  readonly process: FakeProcess;
  /** Resolves when the exit record is there. */
  readonly ended: Promise<ExitRecord>;
  state: 'created' | 'running' | 'paused' = 'created';
  monitorAlive = true;
  readonly monitorLost: Promise<void>;
  readonly loseMonitor: () => void;
  exit: ExitRecord | undefined;
  size: TerminalSize | undefined;
  readonly execs = new Set<FakeProcess>();
  resources: ResourcePlan;
  cpuNanoseconds = 0;
  /** What it uses. */
  memoryBytes = 1024;
  readonly #files: Map<string, string>;
  readonly #sessions = new Set<ChunkPipe<OutputChunk>>();

  constructor(plan: UnitPlan, info: UnitInfo, log: FakeLogLine[], files: Map<string, string>, nowMs: () => number) {
    this.plan = plan;
    this.#files = files;
    this.resources = plan.resources;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.monitorLost = promise;
    this.loseMonitor = () => {
      this.monitorAlive = false;
      resolve();
    };
    this.info = info;
    this.process = new FakeProcess({
      args: plan.process.args, env: plan.process.env, place: this.place(plan.process),
      sink: async (chunk) => {
        log.push({ atMs: nowMs(), stream: chunk.stream, text: new TextDecoder().decode(chunk.data) });
        await Promise.all([...this.#sessions].map((session) => session.push(chunk, chunk.data.length)));
      },
    });
    if (!plan.stdin) this.process.input.end();
    this.ended = this.process.exited.then((end) => {
      this.exit = { ...(this.monitorAlive ? end : { exitCode: undefined, reason: 'unknown' }), finishedAtMs: nowMs() };
      for (const session of this.#sessions) session.end();
      for (const exec of this.execs) exec.exit(137, 'killed');
      return this.exit;
    });
  }

  get openSessions(): number {
    return this.#sessions.size;
  }

  start(after: FakeTimer, programs?: Readonly<Record<string, FakeProgram>>): void {
    if (this.state !== 'created') return;
    this.state = 'running';
    runProgram(this.process, after, programs);
  }

  place(process: ProcessPlan): FakePlace {
    return {
      hostname: this.plan.hostname, cwd: process.cwd, uid: process.user.uid, gid: process.user.gid, files: this.#files,
      commands: () => [this.process, ...this.execs].map(({ args }) => args.join(' ')),
    };
  }

  attach(): IoSession {
    const output = new ChunkPipe<OutputChunk>();
    if (this.process.end === undefined) this.#sessions.add(output);
    else output.end();
    return {
      output,
      write: async (data) => {
        if (this.process.input.ended) throw new BerthError('wrongState', 'Its input is closed.');
        await this.process.input.push(data, data.length);
      },
      endInput: async () => { this.process.input.end(); },
      resize: async (size) => { this.size = size; },
      close: async () => {
        this.#sessions.delete(output);
        output.cancel();
      },
    };
  }
}
