/** Builds the native program without one of its rules (native/rules.h), so that a test can show what the rule is for. */
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const native = path.resolve(import.meta.dirname, '../../native');
const SOURCES = ['main', 'jail', 'syscall-filter', 'job-report', 'sha256', 'byte-stream', 'tar-entry', 'tar-write', 'layer-tree', 'merged-root', 'unpack', 'pack', 'inflate', 'xz', 'root-image', 'disk'];
const gcc = (args: readonly string[]) => promisify(execFile)('gcc', args);

/** The path of the program, made in `dir`; objects that the rule does not change are kept there for the next one. */
export async function nativeWithoutRule(dir: string, rule: string): Promise<string> {
  const target = path.join(dir, `berth-native-without-${rule.toLowerCase()}`);
  const objects: string[] = [];
  for (const name of SOURCES) {
    const source = path.join(native, `${name}.c`);
    const changed = (await fs.readFile(source, 'utf8')).includes(`RULE_${rule}`);
    const object = path.join(dir, changed ? `${name}-without-${rule}.o` : `${name}.o`);
    if (changed || !(await fs.access(object).then(() => true, () => false))) await gcc(['-std=gnu17', '-O0', '-D_GNU_SOURCE', ...(changed ? [`-DRULE_${rule}=0`] : []), '-c', '-o', object, source]);
    objects.push(object);
  }
  await gcc(['-static', '-o', target, ...objects, '-lz', '-lzstd', '-lpthread']);
  return target;
}
