/** How a workload is asked to end: its signal, its grace period, then the kill. */
import type { ExitRecord } from '../../drivers/runtime/driver.ts';
import { FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import type { Step } from '../journal.ts';
import { idOf, imageOf, runtimeOf, type InstanceContext } from './context.ts';
import { stopSignalOf } from './process.ts';

export interface EndContext extends InstanceContext {
  graceMs?: number | undefined;
  exit?: ExitRecord | undefined;
}

const KILL_DEADLINE_MS = 10_000;

export const endWorkload: Step<InstanceContext> = {
  name: 'end',
  irreversible: true,
  async run(context: EndContext) {
    const { services, instance } = context;
    const runtime = runtimeOf(services, instance);
    const id = idOf(instance);
    const observed = await runtime.observe(id);
    if (observed.state === 'exited') context.exit = observed.exit;
    if (observed.state === 'exited' || observed.state === 'absent') return;
    if (observed.state === 'paused') await runtime.resume(id);
    const graceMs = context.graceMs ?? instance.spec.stopGraceMs ?? FORM_DEFAULTS[instance.status.form].stopGraceMs;
    const exited = runtime.waitExit(id);
    exited.catch(() => undefined); // looked at below; an early rejection must not end the process
    if (graceMs > 0 && observed.state !== 'created') {
      context.exit = await askedToEnd(context, exited, graceMs);
      if (context.exit !== undefined) return;
    }
    await signalQuietly(context, 'SIGKILL');
    context.exit = await within(context, exited, KILL_DEADLINE_MS);
  },
};

/** An init that is still coming up may not hear it: it is asked again. */
const ASK_AGAIN_MS = 3_000;

async function askedToEnd(context: EndContext, exited: Promise<ExitRecord>, graceMs: number): Promise<ExitRecord | undefined> {
  const { services, instance } = context;
  const runtime = runtimeOf(services, instance);
  if (instance.status.mode !== 'os' || instance.spec.stopSignal !== undefined || runtime.powerOff === undefined) {
    await signalQuietly(context, stopSignalOf(instance.spec, imageQuietly(context), instance.status.form));
    return within(context, exited, graceMs);
  }
  for (let leftMs = graceMs; leftMs > 0; leftMs -= ASK_AGAIN_MS) {
    await Promise.race([quietly(runtime.powerOff(idOf(instance))), exited]);
    const exit = await within(context, exited, Math.min(leftMs, ASK_AGAIN_MS));
    if (exit !== undefined) return exit;
  }
  return undefined;
}

function imageQuietly({ services, instance }: InstanceContext) {
  try {
    return imageOf(services, instance);
  } catch {
    return undefined; // an image that is gone takes its stop signal with it; the form's own is used
  }
}

async function signalQuietly({ services, instance }: InstanceContext, signal: string): Promise<void> {
  await quietly(runtimeOf(services, instance).signal(idOf(instance), signal));
}

/** What cannot hear it – ended meanwhile, or a guest that does not answer – is killed when its grace is over. */
const UNHEARD = ['wrongState', 'notFound', 'unavailable', 'timeout', 'exhausted'];

async function quietly(asked: Promise<void>): Promise<void> {
  await asked.catch((error: { code?: string }) => {
    if (error.code === undefined || !UNHEARD.includes(error.code)) throw error;
  });
}

async function within(context: InstanceContext, exited: Promise<ExitRecord>, timeoutMs: number): Promise<ExitRecord | undefined> {
  let cancel: (() => void) | undefined;
  const late = new Promise<undefined>((resolve) => { cancel = context.services.clock.after(timeoutMs, () => resolve(undefined)); });
  try {
    return await Promise.race([exited, late]);
  } finally {
    cancel?.();
  }
}
