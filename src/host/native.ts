/** Where the native programs are: built by `up` or `test` with the distribution's compiler (native/build.sh). */
import path from 'node:path';

const base = process.env['BERTH_NATIVE_DIR'] ?? path.resolve(import.meta.dirname, '../../.build/native');

export const NATIVE_PROGRAM = path.join(base, 'berth-native');
export const GUEST_AGENT = path.join(base, 'berth-agent');
export const ACCELERATOR_PROBE = path.join(base, 'probe.elf');
