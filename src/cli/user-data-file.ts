/** `--user-data FILE`: what Berth applies itself becomes a field of its own; all else is for the image's cloud-init. */
import type { InstanceSpec } from '../model/instance.ts';
import { USER_DATA_KEYS } from '../model/user-data-keys.ts';

export async function userData(text: string): Promise<Pick<InstanceSpec, 'userData' | 'cloudInit'>> {
  if (!/^#cloud-config\s*$/m.test(text.split('\n', 1)[0]!)) return { cloudInit: text };
  const { parse } = await import('yaml');
  let document: unknown;
  try {
    document = parse(text, { maxAliasCount: 0 });
  } catch {
    return { cloudInit: text }; // its own reader says better what is wrong with it
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return { cloudInit: text };
  const all = Object.keys(document).every((key) => (USER_DATA_KEYS as readonly string[]).includes(key));
  // What it holds is checked by the daemon, field by field.
  return all ? { userData: document as InstanceSpec['userData'] } : { cloudInit: text };
}
