/**
 * Standard input and output, and the terminal. A door with two implementations: in Bun, `process.stdout`, `process.stdin`
 * and even node:fs cost more time to load than the rest of a command (8, 12 and 2 ms of 7).
 */
import { bunStdio } from './bun-stdio.ts';
import { nodeStdio } from './node-stdio.ts';

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export interface Stdio {
  /** Resolves when the bytes are out: the next write may follow. Ends the process quietly when nobody reads any more. */
  out(data: string | Uint8Array): Promise<void>;
  err(data: string | Uint8Array): Promise<void>;
  /** Standard input as it comes. */
  input(): AsyncIterable<Uint8Array>;
  isTerminal(descriptor: 0 | 1 | 2): Promise<boolean>;
  /** Of the terminal at standard output; undefined where there is none. */
  size(): Promise<TerminalSize | undefined>;
  /** Every key goes to the program, until the answered function is called. */
  raw(): Promise<() => void>;
}

export async function openStdio(): Promise<Stdio> {
  return (globalThis as { Bun?: unknown }).Bun === undefined ? nodeStdio() : bunStdio();
}
