/** From a plan to a container that waits right before the first instruction of its workload. */
import fs from 'node:fs';
import path from 'node:path';
import type { DetachedTree } from '../../../host/own-values.ts';
import { startMonitor } from '../../../host/monitor.ts';
import { prepareMonitorLog } from '../../../host/monitor-log.ts';
import { inNewMountNamespace } from '../../../host/mounts.ts';
import { asBerthError, BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { ProcessIdentity, UnitInfo, UnitPlan } from '../driver.ts';
import { bootSeed } from '../boot-seed.ts';
import type { CrunHost } from './crun-host.ts';
import type { Sandboxed } from './crun-options.ts';
import { readStatus } from './crun-status.ts';
import { joinArguments } from './join-arguments.ts';
import { networkFiles } from './network-files.ts';
import type { OciSeccomp } from './oci-types.ts';
import { removeUnit } from './remove-unit.ts';
import { makeRootMounts, networkFile, ownValues, rootPath, seedFile, volumeSource } from './root-mounts.ts';
import { startFailure } from './start-failure.ts';
import { recordOf, type UnitRecord } from './unit-record.ts';

const DEFAULT_TIMEOUT_MS = 30_000;

export async function createUnit(host: CrunHost, plan: UnitPlan, signal: AbortSignal | undefined): Promise<UnitInfo> {
  signal?.throwIfAborted();
  host.timed('preflight', () => { host.guards.preflight.check(plan.root.layers, upOf(plan)); });
  const handed = plan.network.sandbox;
  const opened = handed === undefined ? await host.timed('sandbox', () => host.options.openSandbox(plan.id)) : undefined;
  try {
    return await make(host, plan, (handed ?? opened)!, signal);
  } catch (error) {
    await removeUnit(host, plan.id, { keepLog: true });
    throw asBerthError(error, `start ${plan.name}`);
  } finally {
    opened?.close();
  }
}

async function make(host: CrunHost, plan: UnitPlan, sandbox: Sandboxed, signal: AbortSignal | undefined): Promise<UnitInfo> {
  const { options, paths, groups, guards } = host;
  const unit = paths.unit(plan.id);
  const rules = guards.seccomp(plan.capabilities);
  const compiled = rules === undefined ? undefined : host.seccomp.prepare(rules);
  const files = networkFiles(plan.hostname, plan.network);
  using values = plan.form === 'osContainer' ? await host.timed('own values', () => ownValuesOrNone(host)) : undefined;
  const spec = guards.spec(plan, {
    rootPath: rootPath(paths.scratch),
    volumeSources: plan.mounts.map((_, index) => volumeSource(paths.scratch, index)),
    hostsFile: networkFile(paths.scratch, 'hosts'), hostnameFile: networkFile(paths.scratch, 'hostname'), resolverFile: networkFile(paths.scratch, 'resolver'),
    initProgram: options.nativeProgram, seedFile: seedFile(paths.scratch), groupsType: groups.delegatedType,
    ...(values === undefined ? {} : { ownValues: ownValues(paths.scratch) }),
    userNamespacePath: `/proc/${process.pid}/fd/${sandbox.userNamespaceFd}`,
    networkNamespacePath: `/proc/${process.pid}/fd/${sandbox.networkNamespaceFd}`,
    idBase: sandbox.idBase, idCount: sandbox.idCount,
    maskedPaths: guards.maskedPaths, readOnlyPaths: plan.form === 'osContainer' ? guards.osReadOnlyPaths : guards.readOnlyPaths,
    seccomp: compiled, ceilings: host.ceilings,
  });
  const record = recordOf(plan, sandbox);
  const log = host.timed('files', () => {
    fs.mkdirSync(unit.dir, { mode: 0o700 });
    fs.writeFileSync(unit.record, JSON.stringify(record), { mode: 0o600 });
    fs.writeFileSync(unit.config, JSON.stringify(spec), { mode: 0o600 });
    host.exits.forget(plan.id);
    return prepareMonitorLog(unit.logDir, plan.log);
  });
  host.remember(plan.id, record);
  host.timed('cgroups', () => {
    groups.create(plan.id, plan.resources);
    if (plan.form === 'osContainer') groups.delegate(plan.id, sandbox.idBase);
  });
  const started = await host.timed('monitor', () => startMonitor({
    conmon: options.conmon, id: plan.id, dir: unit.dir, program: options.nativeProgram,
    programArgs: joinArguments(host, plan.id, { owner: sandbox.idBase, form: plan.form, first: true }),
    exitDir: paths.exits, ...log, terminal: plan.process.terminal, stdin: plan.stdin,
  }, {
    timeoutMs: options.createTimeoutMs ?? DEFAULT_TIMEOUT_MS, signal,
    around: (fork) => host.timed('mounts and fork', () => inNewMountNamespace(() => {
      makeRootMounts(plan, { ...(plan.form === 'osContainer' ? { seed: bootSeed(plan), ownValues: values } : {}), scratch: paths.scratch, hide: groups.hide, delegated: plan.form === 'osContainer', crun: host.crun, guards, userNamespaceFd: sandbox.userNamespaceFd, idBase: sandbox.idBase, files });
      return fork();
    })),
  })).catch((error: unknown) => { throw startFailure(error, plan.process, plan.resources.pids); });
  await learnFilter(host, plan.id, rules, compiled);
  const process_ = readStatus(unit.state);
  if (process_ === undefined) throw new BerthError('internal', `crun left no status of ${plan.name}.`);
  guards.workingDirectory(process_.pid);
  return unitInfo(process_, started.monitor, record);
}

/** A system runs without them, too: it sees the host's, and its limits hold. */
async function ownValuesOrNone(host: CrunHost): Promise<DetachedTree | undefined> {
  try {
    return await host.ownValues.tree();
  } catch (error) {
    if (error instanceof BerthError && (error.code === 'unavailable' || error.code === 'timeout')) return undefined;
    throw error;
  }
}

export function unitInfo(process: ProcessIdentity, monitor: ProcessIdentity, { idBase, idCount }: UnitRecord): UnitInfo {
  return { process, monitor, boundary: 'kernel', idRange: { base: idBase, count: idCount } };
}

async function learnFilter(host: CrunHost, id: ObjectId, rules: OciSeccomp | undefined, compiled: object | undefined): Promise<void> {
  if (rules !== undefined && compiled !== undefined && 'rules' in compiled) await host.seccomp.learn(rules, path.join(host.paths.unit(id).state, 'seccomp.bpf'));
}

function upOf(plan: UnitPlan): string | undefined {
  return plan.root.upperDir === undefined ? undefined : path.join(plan.root.upperDir, 'up');
}
