/**
 * The conformance suite of the runtime contract: the same body over every runtime, in every form it makes. The commands
 * are those of a busybox in the root file system; a fake interprets them.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { BerthError, type ErrorCode } from '../../model/errors.ts';
import type { ObjectId } from '../../model/ids.ts';
import type { ExecPlan, ExecSession, ExitRecord, IoSession, OutputChunk, ProcessPlan, RootPlan, RuntimeDriver, UnitPlan } from './driver.ts';
import { testRunner, type CaseSink, type Has } from './contract-cases.ts';
import { filesContract } from './files-contract.ts';
import { limitsContract } from './limits-contract.ts';
import { processesContract } from './processes-contract.ts';
import { volumesContract } from './volumes-contract.ts';

export interface PlanChoices extends Omit<Partial<UnitPlan>, 'process' | 'root'> {
  readonly process?: Partial<ProcessPlan>;
  readonly root?: Partial<RootPlan>;
}

/** A root of its own for one case. Disposing of it removes all units that it planned. */
export interface RuntimeBench extends AsyncDisposable {
  readonly driver: RuntimeDriver;
  /** Closes the driver and opens another one over the same root: the next daemon. */
  reopen(): Promise<RuntimeDriver>;
  /** A plan with root as the user, PATH=/bin, the default capabilities, 256 MiB, and an upper of its own. */
  plan(args: readonly string[], choices?: PlanChoices): UnitPlan;
  /** An empty directory of the host, to be mounted as a volume; removed with the bench. */
  volumeDir(): string;
  /** The log as its files hold it, for a runtime whose files are none. Default: they are read. */
  readLog?(id: ObjectId): string;
}

/** What a runtime shows in the same way as the others, or why it does not: then the cases are told as refused. */
export interface RuntimeCapabilities {
  /** Deadlines are multiplied with it: a booted guest takes longer than a namespace. */
  readonly patience: number;
  /** What ends by itself has an exit code; else it ends by a power-off. */
  readonly exitCodes: Has;
  /** The first process is an application’s: with a user and a directory, signals of its own choice, a root that may be read-only. */
  readonly application: Has;
  /** Output comes in two streams, and input has an end. */
  readonly streams: Has;
  /** Directories of the host can be mounted, and hold what was written with its ids unshifted. */
  readonly volumes: Has;
  /** A terminal for the workload and for execs. */
  readonly terminals: Has;
  /** Processes are really held to the plan: memory, rlimits. */
  readonly limits: Has;
  /** So are their number and their capabilities. */
  readonly boundedProcesses: Has;
  /** Command that prints the memory the workload may use, in bytes, and how far it may lie below the plan. */
  readonly memory: { readonly args: readonly string[]; readonly tolerance: number } | { readonly no: string };
  /** What runs can get more memory and CPUs than it was started with. */
  readonly grows: boolean;
  /** The kernel's kill for memory is told as `oom`. */
  readonly oom: Has;
  /** The log has files with a bound. */
  readonly boundedLog: Has;
  /** The monitor is a process that can be killed. */
  readonly killableMonitor: Has;
}

const MEBIBYTE = 1024 * 1024;

/** `cases`: where they go, when not to the test runner; `only` takes some of them, by title. */
export function runtimeContract(name: string, openBench: () => Promise<RuntimeBench>, can: RuntimeCapabilities, { cases = testRunner, only }: { readonly cases?: CaseSink; readonly only?: RegExp } = {}): void {
  const within = (milliseconds: number): AbortSignal => AbortSignal.timeout(milliseconds * can.patience);

  /** With `needs` that a runtime does not have, the case is told as refused. */
  function check(title: string, body: (bench: RuntimeBench) => Promise<void>, ...needs: readonly Has[]): void {
    const lack = needs.find((need) => need !== true);
    if (lack !== undefined) return cases.refuse(title, lack.no);
    if (only !== undefined && !only.test(title)) return undefined;
    return cases.run(title, async () => {
      await using bench = await openBench();
      await body(bench);
    });
  }

  const describe = cases.group;

  const sh = (script: string): readonly string[] => ['sh', '-c', script];

  async function started(bench: RuntimeBench, args: readonly string[], choices?: PlanChoices): Promise<ObjectId> {
    const plan = bench.plan(args, choices);
    await bench.driver.create(plan);
    await bench.driver.start(plan.id);
    return plan.id;
  }

  const ended = (driver: RuntimeDriver, id: ObjectId): Promise<ExitRecord> => driver.waitExit(id, within(10_000));

  /** How a command ends, whether the runtime finds out at create or by running it. */
  async function outcome(bench: RuntimeBench, args: readonly string[], choices?: PlanChoices): Promise<number | undefined> {
    const plan = bench.plan(args, choices);
    try {
      await bench.driver.create(plan);
    } catch (error) {
      assert.ok(error instanceof BerthError, String(error));
      return error.details?.['exitCode'] as number;
    }
    await bench.driver.start(plan.id);
    return (await ended(bench.driver, plan.id)).exitCode;
  }

  async function executed(driver: RuntimeDriver, id: ObjectId, args: readonly string[], choices?: Partial<ExecPlan>): Promise<Outcome> {
    const session = await driver.exec(id, execPlan(args, choices));
    const seen = await collect(session.output);
    return { ...(await session.exit), ...seen };
  }

  /** Waits until an exec’s output says so. */
  async function untilSaid(driver: RuntimeDriver, id: ObjectId, args: readonly string[], wanted: RegExp): Promise<void> {
    await until(async () => wanted.test((await executed(driver, id, args)).stdout), 10_000 * can.patience, `${args.join(' ')} saying ${wanted}`);
  }

  /** How an end with this code is told. */
  const told = (exitCode: number): { exitCode: number; reason: string } => (can.exitCodes === true ? { exitCode, reason: 'exited' } : { exitCode: 0, reason: 'poweroff' });

  const observedState = async (driver: RuntimeDriver, id: ObjectId): Promise<string> => (await driver.observe(id)).state;

  describe(`runtime contract: ${name}`, () => {
    describe('life', () => {
      check('absent, created, running, exited, absent', async (bench) => {
        const { driver } = bench;
        const plan = bench.plan(sh('read line; exit 7'), { stdin: true });
        assert.equal(await observedState(driver, plan.id), 'absent');
        const info = await driver.create(plan);
        assert.ok(info.process.pid > 1 && info.process.startTicks > 0 && info.monitor.pid > 1);
        assert.deepEqual(await driver.observe(plan.id), { state: 'created', info });
        await driver.start(plan.id);
        assert.deepEqual(await driver.observe(plan.id), { state: 'running', info });
        const session = await driver.attach(plan.id);
        await session.write(Buffer.from('go\n'));
        const exit = await ended(driver, plan.id);
        assert.deepEqual(withoutTime(exit), told(7));
        assert.ok(Math.abs(exit.finishedAtMs - Date.now()) < 60_000);
        assert.deepEqual(await driver.observe(plan.id), { state: 'exited', exit });
        assert.deepEqual(await ended(driver, plan.id), exit, 'again, at once');
        await session.close();
        await driver.remove(plan.id, { keepLog: false });
        assert.equal(await observedState(driver, plan.id), 'absent');
      });

      for (const code of [0, 7, 126, 127, 255]) {
        check(`exit code ${code}`, async (bench) => {
          assert.equal(await outcome(bench, sh(`exit ${code}`)), code);
        }, can.exitCodes);
      }

      check('a command that is not there is 127, one that cannot be run 126', async (bench) => {
        assert.equal(await outcome(bench, ['no-such-command']), 127);
        assert.equal(await outcome(bench, ['/no/such/command']), 127);
        assert.equal(await outcome(bench, ['/plain-file']), 126);
      }, can.exitCodes);

      check('SIGKILL is 137 and killed', async (bench) => {
        const { driver } = bench;
        const killed = await started(bench, ['sleep', '1000']);
        await driver.signal(killed, 'SIGKILL');
        assert.deepEqual(withoutTime(await ended(driver, killed)), { exitCode: 137, reason: 'killed' });
      });

      check('a signal to a command under init is 128 + its number', async (bench) => {
        const { driver } = bench;
        const term = await started(bench, ['sleep', '1000'], { init: true });
        await until(async () => {
          await driver.signal(term, 'SIGTERM').catch(() => undefined); // init may not have come to its command yet
          return await observedState(driver, term) === 'exited';
        }, 10_000 * can.patience, 'the end by SIGTERM');
        assert.equal((await ended(driver, term)).exitCode, 143);
      }, can.application);

      check('a signal reaches the workload', async (bench) => {
        const id = await started(bench, sh("trap 'exit 5' USR1; echo ready; while true; do sleep 0.05; done"));
        await until(async () => /ready/.test(await logOf(bench, id)), 10_000 * can.patience, 'readiness');
        await bench.driver.signal(id, 'SIGUSR1');
        assert.equal((await ended(bench.driver, id)).exitCode, 5);
      }, can.application);

      check('create and start twice are one unit, remove twice is nothing', async (bench) => {
        const { driver } = bench;
        const plan = bench.plan(['sleep', '1000']);
        const first = await driver.create(plan);
        assert.deepEqual(await driver.create(plan), first);
        await driver.start(plan.id);
        await driver.start(plan.id);
        await rejects(driver.create(plan), 'wrongState');
        await driver.remove(plan.id, { keepLog: false });
        await driver.remove(plan.id, { keepLog: false });
        assert.deepEqual(await driver.leftovers(new Set()), []);
      });

      check('verbs on nothing say so', async (bench) => {
        const { id } = bench.plan(['true']);
        await rejects(bench.driver.start(id), 'wrongState');
        await rejects(bench.driver.signal(id, 'SIGTERM'), 'wrongState');
        await rejects(bench.driver.attach(id), 'wrongState');
        await rejects(bench.driver.exec(id, execPlan(['true'])), 'wrongState');
        await rejects(bench.driver.pause(id), 'wrongState');
        await rejects(bench.driver.waitExit(id), 'notFound');
        assert.deepEqual([...await bench.driver.stats([id])], []);
        assert.deepEqual(await bench.driver.logFiles(id), []);
      });

      check('a wait can be taken back, and ends when the unit is removed', async (bench) => {
        const id = await started(bench, ['sleep', '1000']);
        const reason = new Error('enough');
        await assert.rejects(bench.driver.waitExit(id, AbortSignal.abort(reason)), reason);
        const waiting = ended(bench.driver, id);
        await bench.driver.remove(id, { keepLog: false });
        assert.ok([137, undefined].includes((await waiting).exitCode));
      });

      check('an aborted create leaves nothing', async (bench) => {
        const plan = bench.plan(['sleep', '1000']);
        await assert.rejects(bench.driver.create(plan, AbortSignal.abort(new Error('changed my mind'))), /changed my mind/);
        assert.equal(await observedState(bench.driver, plan.id), 'absent');
        assert.deepEqual(await bench.driver.leftovers(new Set()), []);
      });

      check('a second run on the same upper finds what the first wrote, and its log', async (bench) => {
        const { driver } = bench;
        const plan = bench.plan(sh('cat /kept; echo kept > /kept'));
        for (const expected of ['', 'kept\n']) {
          await driver.create(plan);
          await driver.start(plan.id);
          await ended(driver, plan.id);
          assert.match(await logOf(bench, plan.id), new RegExp(`${expected}$`));
          await driver.remove(plan.id, { keepLog: true });
        }
        assert.match(await logOf(bench, plan.id), /No such file[^]*kept/);
      });
    });

    describe('what is seen inside', () => {
      check('environment, directory, user, groups, host name, arguments', async (bench) => {
        const plan = bench.plan(sh('echo "$WHAT"; pwd; id -u; id -g; hostname; echo "$0" "$1"').concat('zero', 'o n e'), {
          process: { env: ['PATH=/bin', 'WHAT=a b=c "d" \\ $HOME ü'], cwd: '/home', user: { uid: 1000, gid: 1000, additionalGids: [5] } },
        });
        await bench.driver.create(plan);
        await bench.driver.start(plan.id);
        await ended(bench.driver, plan.id);
        assert.deepEqual(lines(await logOf(bench, plan.id)), ['a b=c "d" \\ $HOME ü', '/home', '1000', '1000', plan.hostname, 'zero o n e']);
      }, can.application);

      check('the memory that was planned', async (bench) => {
        const { args, tolerance } = can.memory as { args: readonly string[]; tolerance: number };
        const wanted = 192 * MEBIBYTE;
        const id = await started(bench, args, { resources: { memoryBytes: wanted, cpuWeight: 100, pids: 64 } });
        await ended(bench.driver, id);
        const seen = Number(lines(await logOf(bench, id))[0]);
        assert.ok(seen <= wanted && seen >= wanted * (1 - tolerance), `${seen} of ${wanted}`);
      }, 'no' in can.memory ? can.memory : true);

      check('resource limits, clamped to what the host gives', async (bench) => {
        const id = await started(bench, sh('ulimit -Sn; ulimit -Hn'), { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 321, hard: 4096 }] });
        await ended(bench.driver, id);
        assert.deepEqual(lines(await logOf(bench, id)), ['321', '4096']);
      }, can.limits);

      check('a read-only root, and a tmpfs that is not', async (bench) => {
        const id = await started(bench, sh('touch /x || echo refused; echo yes > /scratch/x; cat /scratch/x'), { root: { readOnly: true }, tmpfs: [{ target: '/scratch', sizeBytes: MEBIBYTE }] });
        await ended(bench.driver, id);
        assert.match(await logOf(bench, id), /^(?=[^]*Read-only file system)(?=[^]*refused\n[^]*yes\n)/);
      }, can.limits, can.application);

      check('capabilities: what was planned and no more', async (bench) => {
        const id = await started(bench, sh('chown 5:5 /tmp; stat -c %u /tmp; hostname other || echo refused'));
        await ended(bench.driver, id);
        assert.match(await logOf(bench, id), /^(?=[^]*5\n)(?=[^]*refused\n)/);
      }, can.limits, can.boundedProcesses);
    });

    describe('output and input', () => {
      check('the log has every line with time and stream', async (bench) => {
        const id = await started(bench, sh('echo out; echo err >&2; echo -n end'));
        await ended(bench.driver, id);
        const text = await rawLogOf(bench, id);
        for (const line of lines(text)) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00 (stdout|stderr) [PF] /);
        assert.deepEqual(lines(text).map((line) => line.replace(/^\S+ /, '')).sort(), ['stderr F err', 'stdout F out', 'stdout P end']);
      }, can.streams);

      check('attach before start misses nothing, streams apart', async (bench) => {
        const plan = bench.plan(sh('seq 1 20000; echo problem >&2; exit 3'));
        await bench.driver.create(plan);
        const session = await bench.driver.attach(plan.id);
        const seen = collect(session.output);
        await bench.driver.start(plan.id);
        assert.equal((await ended(bench.driver, plan.id)).exitCode, 3);
        const { stdout, stderr } = await seen;
        assert.equal(stdout, Array.from({ length: 20_000 }, (_, n) => `${n + 1}\n`).join(''));
        assert.equal(stderr, 'problem\n');
        await session.close();
      }, can.streams);

      check('input, its end, and the answer', async (bench) => {
        const plan = bench.plan(['cat'], { stdin: true });
        await bench.driver.create(plan);
        const session = await bench.driver.attach(plan.id);
        const seen = collect(session.output);
        await bench.driver.start(plan.id);
        const text = 'line of input\n'.repeat(5_000);
        await session.write(Buffer.from(text));
        await session.endInput();
        assert.equal((await seen).stdout, text);
        assert.equal((await ended(bench.driver, plan.id)).exitCode, 0);
        await session.close();
      }, can.streams);

      check('without stdin a read ends at once', async (bench) => {
        const id = await started(bench, sh('cat; exit 4'));
        assert.equal((await ended(bench.driver, id)).exitCode, 4);
      }, can.streams, can.exitCodes);

      check('letting go leaves the workload and its input alone; the next client goes on', async (bench) => {
        const id = await started(bench, sh('read a; echo "got $a"; read b; echo "got $b"'), { stdin: true });
        const first = await bench.driver.attach(id);
        await first.write(Buffer.from('one\n'));
        await until(async () => /got one/.test(await logOf(bench, id)), 10_000 * can.patience, 'the first answer');
        await first.close();
        assert.equal(await observedState(bench.driver, id), 'running');
        const second = await bench.driver.attach(id);
        const seen = collect(second.output);
        await second.write(Buffer.from('two\n'));
        assert.match((await seen).stdout, /got two\r?\n$/);
        assert.equal((await ended(bench.driver, id)).exitCode, 0);
        await second.close();
      });

      check('the log stays below its bound, a line without end too', async (bench) => {
        const log = { maxBytes: 64 * 1024, maxFiles: 3 };
        const id = await started(bench, sh('head -c 1000000 /dev/zero | tr "\\0" A; echo; seq 1 100000; echo the end'), { log });
        await ended(bench.driver, id);
        await bench.driver.rotateLog(id);
        const text = await rawLogOf(bench, id);
        assert.ok(text.length <= log.maxBytes * log.maxFiles, `${text.length} bytes`);
        assert.match(text, / F the end\r?\n$/);
      }, can.boundedLog);

      check('a terminal: one stream, size at the start and after a resize', async (bench) => {
        const plan = bench.plan(sh('tty > /dev/null && stty size; read line; stty size; echo "<$line>" >&2'), { process: { terminal: true, size: { rows: 33, columns: 101 } }, stdin: true });
        await bench.driver.create(plan);
        const session = await bench.driver.attach(plan.id);
        const reader = new Reader(session);
        await bench.driver.start(plan.id);
        await reader.until(/33 101\r\n/);
        await session.resize({ rows: 44, columns: 111 });
        await session.write(Buffer.from('hello\r'));
        await reader.until(/44 111\r\n(.|\n)*<hello>\r\n/);
        assert.equal((await ended(bench.driver, plan.id)).exitCode, 0);
        await session.close();
      }, can.terminals);

      check('a terminal outlives its client', async (bench) => {
        const id = await started(bench, sh('read a; echo "1 $a"; read b; echo "2 $b"'), { process: { terminal: true }, stdin: true });
        const first = await bench.driver.attach(id);
        await first.write(Buffer.from('x\r'));
        await until(async () => /1 x/.test(await logOf(bench, id)), 10_000 * can.patience, 'the first answer');
        await first.close();
        const second = await bench.driver.attach(id);
        const reader = new Reader(second);
        await second.write(Buffer.from('y\r'));
        await reader.until(/2 y/);
        await ended(bench.driver, id);
        await second.close();
      }, can.terminals);
    });

    describe('exec', () => {
      check('output, exit code, environment, directory, user', async (bench) => {
        const id = await started(bench, ['sleep', '1000']);
        assert.deepEqual(
          await executed(bench.driver, id, sh('echo "$WHAT"; pwd; id -u; echo err >&2; exit 9'), { env: ['PATH=/bin', 'WHAT=x'], cwd: '/home', user: { uid: 1000, gid: 1000, additionalGids: [] } }),
          { exitCode: 9, stdout: 'x\n/home\n1000\n', stderr: 'err\n' },
        );
        assert.deepEqual(await executed(bench.driver, id, ['true']), { exitCode: 0, stdout: '', stderr: '' });
      });

      check('input and its end', async (bench) => {
        const id = await started(bench, ['sleep', '1000']);
        const session = await bench.driver.exec(id, execPlan(['cat'], { stdin: true }));
        const seen = collect(session.output);
        const text = 'x'.repeat(300_000);
        await session.write(Buffer.from(text));
        await session.endInput();
        assert.equal((await seen).stdout, text);
        assert.deepEqual(await session.exit, { exitCode: 0 });
      });

      check('a command that is not there is 127, one that cannot be run 126, and it is said why', async (bench) => {
        const id = await started(bench, ['sleep', '1000']);
        const missing = await executed(bench.driver, id, ['no-such-command']);
        assert.equal(missing.exitCode, 127);
        assert.match(missing.stderr, /no-such-command/);
        assert.equal((await executed(bench.driver, id, ['/plain-file'])).exitCode, 126);
      });

      check('a signal reaches this process and no other', async (bench) => {
        const id = await started(bench, ['sleep', '1000']);
        const sessions = await Promise.all([0, 1].map(() => bench.driver.exec(id, execPlan(sh("trap 'exit 6' TERM; echo ready; while true; do sleep 0.05; done")))));
        const readers = sessions.map((session) => new Reader(session));
        for (const reader of readers) await reader.until(/ready/);
        await sessions[0]!.signal('SIGTERM');
        assert.deepEqual(await sessions[0]!.exit, { exitCode: 6 });
        await sessions[1]!.signal('SIGKILL');
        assert.deepEqual(await sessions[1]!.exit, { exitCode: 137 });
        await rejects(sessions[1]!.signal('SIGTERM'), 'wrongState');
        assert.equal(await observedState(bench.driver, id), 'running');
      });

      check('close kills the process', async (bench) => {
        const id = await started(bench, ['sleep', '1000']);
        const session = await bench.driver.exec(id, execPlan(['sleep', '999']));
        await until(async () => (await executed(bench.driver, id, ['ps'])).stdout.includes('sleep 999'), 10_000 * can.patience, 'the process');
        await session.close();
        assert.deepEqual(await session.exit, { exitCode: 137 });
        await untilSaid(bench.driver, id, ['ps'], /^(?![^]*sleep 999)/);
      });

      check('a terminal with a size, resize, input, exit code', async (bench) => {
        const id = await started(bench, ['sleep', '1000']);
        const session = await bench.driver.exec(id, execPlan(sh('stty size; read x; stty size; exit 8'), { terminal: true, stdin: true, size: { rows: 22, columns: 81 } }));
        const reader = new Reader(session);
        await reader.until(/22 81\r\n/);
        await session.resize({ rows: 23, columns: 82 });
        await session.write(Buffer.from('\r'));
        await reader.until(/23 82\r\n/);
        assert.deepEqual(await session.exit, { exitCode: 8 });
        await reader.end();
      }, can.terminals);
    });

    describe('pause, limits, numbers', () => {
      check('a paused unit stands still, refuses exec, and goes on', async (bench) => {
        const { driver } = bench;
        const id = await started(bench, sh('i=0; while true; do i=$((i+1)); echo $i; sleep 0.01; done'));
        await until(async () => (await logOf(bench, id)).length > 0, 10_000 * can.patience, 'output');
        await driver.pause(id);
        await driver.pause(id);
        assert.equal(await observedState(driver, id), 'paused');
        const still = await settled(() => logOf(bench, id));
        await rejects(driver.exec(id, execPlan(['true'])), 'wrongState');
        assert.equal(await logOf(bench, id), still);
        await driver.resume(id);
        await driver.resume(id);
        assert.equal(await observedState(driver, id), 'running');
        await until(async () => (await logOf(bench, id)).length > still.length, 10_000 * can.patience, 'going on');
      });

      check('a paused unit can be killed, and removed', async (bench) => {
        const { driver } = bench;
        const killed = await started(bench, ['sleep', '1000']);
        await driver.pause(killed);
        await driver.signal(killed, 'SIGKILL');
        assert.equal((await ended(driver, killed)).exitCode, 137);
        const removed = await started(bench, ['sleep', '1000']);
        await driver.pause(removed);
        await driver.remove(removed, { keepLog: false });
        assert.equal(await observedState(driver, removed), 'absent');
      });

      processesContract({ check, started, until, sh, name, can });

      check('statistics of several in one call', async (bench) => {
        const { driver } = bench;
        const ids = [await started(bench, sh('i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000')), await started(bench, ['sleep', '1000'])];
        await until(async () => (await driver.stats(ids)).get(ids[0]!)!.cpuNanoseconds > 5_000_000, 10_000 * can.patience, 'CPU time');
        const stats = await driver.stats([...ids, bench.plan(['true']).id]);
        assert.deepEqual([...stats.keys()], ids);
        for (const one of stats.values()) {
          assert.ok(one.memoryBytes > 0 && one.pids >= 1 && one.oomKills === 0, JSON.stringify(one));
          assert.equal(one.memoryLimitBytes, 256 * MEBIBYTE);
        }
      });

      limitsContract({ check, started, executed, execPlan, rejects, until, can });

      check('a kill for memory is told', async (bench) => {
        const id = await started(bench, ['tail', '/dev/zero'], { resources: { memoryBytes: 64 * MEBIBYTE, cpuWeight: 100, pids: 32 } });
        assert.deepEqual(withoutTime(await ended(bench.driver, id)), { exitCode: 137, reason: 'oom' });
      }, can.oom);
    });

    describe('volumes', () => { volumesContract({ check, started, ended, rejects, logOf, can }); });

    describe('files', () => { filesContract({ check, started, executed, ended, rejects, until, patience: can.patience }); });

    describe('the next daemon', () => {
      check('finds a created unit and starts it', async (bench) => {
        const plan = bench.plan(sh('exit 7'));
        const info = await bench.driver.create(plan);
        const next = await bench.reopen();
        assert.deepEqual(await next.observe(plan.id), { state: 'created', info });
        await next.start(plan.id);
        assert.deepEqual(withoutTime(await ended(next, plan.id)), told(7));
      });

      check('finds a running unit: same processes, input, exec, signals, statistics, exit', async (bench) => {
        const plan = bench.plan(sh('read line; echo "got $line"; exit 3'), { stdin: true });
        const info = await bench.driver.create(plan);
        await bench.driver.start(plan.id);
        const next = await bench.reopen();
        assert.deepEqual(await next.observe(plan.id), { state: 'running', info });
        assert.equal((await executed(next, plan.id, sh('exit 4'))).exitCode, 4);
        assert.equal((await next.stats([plan.id])).size, 1);
        const session = await next.attach(plan.id);
        await session.write(Buffer.from('after\n'));
        assert.deepEqual(withoutTime(await ended(next, plan.id)), told(3));
        assert.match(await logOf(bench, plan.id), /got after/);
        await session.close();
      });

      check('finds a paused unit and resumes it', async (bench) => {
        const id = await started(bench, ['sleep', '1000']);
        await bench.driver.pause(id);
        const next = await bench.reopen();
        assert.equal(await observedState(next, id), 'paused');
        await next.resume(id);
        assert.equal(await observedState(next, id), 'running');
      });

      check('knows the exit that nobody saw', async (bench) => {
        const id = await started(bench, sh('exit 11'));
        await ended(bench.driver, id);
        const next = await bench.reopen();
        const seen = await next.observe(id);
        assert.deepEqual(seen.state === 'exited' && withoutTime(seen.exit), told(11));
        assert.deepEqual(withoutTime(await ended(next, id)), told(11));
      });

      check('tells how a unit ended that was removed and its exit kept, until it is made again or removed', async (bench) => {
        const plan = bench.plan(sh('exit 11'));
        await bench.driver.create(plan);
        await bench.driver.start(plan.id);
        const { finishedAtMs } = await ended(bench.driver, plan.id);
        for (let twice = 0; twice < 2; twice++) await bench.driver.remove(plan.id, { keepLog: true, keepExit: true });
        const next = await bench.reopen();
        const seen = await next.observe(plan.id);
        assert.deepEqual(seen.state === 'exited' && withoutTime(seen.exit), told(11));
        assert.ok(seen.state === 'exited' && Math.abs(seen.exit.finishedAtMs - finishedAtMs) <= 2);
        assert.deepEqual(await next.leftovers(new Set([plan.id])), []);
        await next.create(plan);
        assert.equal(await observedState(next, plan.id), 'created');
        await next.remove(plan.id, { keepLog: false });
        assert.equal(await observedState(next, plan.id), 'absent');
        assert.deepEqual(await next.leftovers(new Set()), []);
      });

      check('removes what it finds, in every state, and nothing is left', async (bench) => {
        const created = bench.plan(['sleep', '1000']);
        await bench.driver.create(created);
        const running = await started(bench, ['sleep', '1000']);
        const paused = await started(bench, ['sleep', '1000']);
        await bench.driver.pause(paused);
        const exited = await started(bench, ['true']);
        await ended(bench.driver, exited);
        const next = await bench.reopen();
        const all = [created.id, running, paused, exited];
        assert.deepEqual(await next.leftovers(new Set(all)), []);
        assert.ok((await next.leftovers(new Set())).length >= all.length);
        for (const id of all) await next.remove(id, { keepLog: false });
        for (const id of all) assert.equal(await observedState(next, id), 'absent');
        assert.deepEqual(await next.leftovers(new Set()), []);
      });

      check('a unit whose monitor was killed is unsupervised: exec and kill work, no false exit code is told', async (bench) => {
        const plan = bench.plan(['sleep', '1000']);
        const info = await bench.driver.create(plan);
        await bench.driver.start(plan.id);
        process.kill(info.monitor.pid, 'SIGKILL');
        await until(async () => await observedState(bench.driver, plan.id) === 'unsupervised', 10_000 * can.patience, 'being unsupervised');
        const next = await bench.reopen();
        const seen = await next.observe(plan.id);
        assert.deepEqual(seen.state === 'unsupervised' && seen.info.process, info.process);
        assert.equal((await executed(next, plan.id, sh('exit 4'))).exitCode, 4);
        let told = 0;
        const waiting = next.waitExit(plan.id, within(20_000), () => { told++; });
        await until(() => told > 0, 10_000 * can.patience, 'being told');
        await next.signal(plan.id, 'SIGKILL');
        // Without a monitor nobody need have seen it; a runtime whose unit has a second watcher may know better.
        const { exitCode, reason } = await waiting;
        assert.ok(exitCode === undefined ? reason === 'unknown' : exitCode === 137 && reason === 'killed', `${exitCode} ${reason}`);
        await next.remove(plan.id, { keepLog: false });
        assert.deepEqual(await next.leftovers(new Set()), []);
      }, can.killableMonitor);
    });
  });
}

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

function execPlan(args: readonly string[], choices: Partial<ExecPlan> = {}): ExecPlan {
  return { args, env: ['PATH=/bin'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: false, stdin: false, noNewPrivileges: true, capabilities: [], ...choices };
}

async function collect(output: AsyncIterable<OutputChunk>): Promise<{ stdout: string; stderr: string }> {
  const seen: Record<'stdout' | 'stderr', Uint8Array[]> = { stdout: [], stderr: [] };
  for await (const { stream, data } of output) seen[stream].push(data);
  return { stdout: Buffer.concat(seen.stdout).toString(), stderr: Buffer.concat(seen.stderr).toString() };
}

/** Reads a session's output while the case goes on. */
class Reader {
  #text = '';
  #done = false;
  readonly #reading: Promise<void>;

  constructor(session: IoSession | ExecSession) {
    this.#reading = (async () => {
      for await (const { data } of session.output) this.#text += Buffer.from(data).toString();
    })().finally(() => { this.#done = true; });
  }

  async until(wanted: RegExp): Promise<void> {
    await until(() => {
      if (wanted.test(this.#text)) return true;
      assert.ok(!this.#done, `the output ended without ${wanted}: ${JSON.stringify(this.#text)}`);
      return false;
    }, 30_000, `${wanted} in the output`);
  }

  end(): Promise<void> {
    return this.#reading;
  }
}

/** The log as the workload wrote it, both streams together. */
async function logOf(bench: RuntimeBench, id: ObjectId): Promise<string> {
  return lines(await rawLogOf(bench, id)).map((line) => line.replace(/^\S+ (stdout|stderr) P (.*)$/s, '$2').replace(/^\S+ (stdout|stderr) F (.*)$/s, '$2\n')).join('').replaceAll('\r', '');
}

async function rawLogOf(bench: RuntimeBench, id: ObjectId): Promise<string> {
  return bench.readLog?.(id) ?? (await bench.driver.logFiles(id)).map((file) => fs.readFileSync(file, 'utf8')).join('');
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}

function withoutTime({ exitCode, reason }: ExitRecord): { exitCode: number | undefined; reason: string } {
  return { exitCode, reason };
}

async function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof BerthError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

/** The answer once it is twice the same: what was under way has arrived. */
async function settled(ask: () => Promise<string>): Promise<string> {
  let before: string | undefined;
  return until(async () => {
    const now = await ask();
    const same = now !== '' && now === before;
    before = now;
    return same ? now : undefined;
  }, 10_000, 'an answer that stays');
}

async function until<T>(condition: () => T | Promise<T>, deadlineMs: number, what: string): Promise<NonNullable<T>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`${what} did not come within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
