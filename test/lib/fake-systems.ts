/** Fake runtimes that make systems, too: OS containers and VMs, of which nobody waits for the boot. */
import type { ControlParts } from '../../src/control/control.ts';
import type { RuntimeDriver } from '../../src/drivers/runtime/driver.ts';
import type { ObjectId } from '../../src/model/ids.ts';

export function makesSystems(all: ControlParts): ControlParts {
  const able = (inner: RuntimeDriver, boundary: 'kernel' | 'emulated'): RuntimeDriver => new Proxy(inner, {
    get: (target, key: keyof RuntimeDriver) => {
      if (key === 'available') return () => Promise.resolve({ ok: true, boundary });
      if (key === 'booted') return () => new Promise(() => undefined);
      if (key === 'powerOff') return (id: ObjectId) => target.signal(id, 'SIGTERM');
      const value = target[key];
      return typeof value === 'function' ? (value as (...args: never[]) => unknown).bind(target) : value;
    },
  });
  return { ...all, runtimes: { container: able(all.runtimes.container, 'kernel'), vm: able(all.runtimes.vm, 'emulated') } };
}
