/** Builds the guest's agent without one of its rules, so that a test can show what the rule is for. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const native = path.resolve(import.meta.dirname, '../../native');

/** The path of the program, made in `dir`. */
export async function agentWithoutRule(dir: string, rule: string): Promise<string> {
  const target = path.join(dir, `berth-agent-without-${rule.toLowerCase()}`);
  const sources = [...readdirSync(path.join(native, 'agent')).map((name) => path.join('agent', name)), ...readdirSync(native).filter((name) => name.startsWith('os-'))].filter((name) => name.endsWith('.c'));
  await promisify(execFile)('gcc', ['-std=gnu17', '-O1', '-D_GNU_SOURCE', `-DRULE_${rule}=0`, '-static', '-s', '-o', target, ...sources.map((name) => path.join(native, name))]);
  return target;
}
