/** What a command is made of. */
import type { Stdio } from './stdio.ts';
import type { Words } from './words.ts';

export interface Flag {
  /** Without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string | undefined;
  /** How its value is written; a flag without one is on or off. */
  readonly value?: string | undefined;
  /** `--explain` alone is on, `--explain=NAME` has a value. */
  readonly valueOptional?: boolean | undefined;
  readonly repeat?: boolean | undefined;
  readonly help: string;
  /** Other names, for people who come from elsewhere; not in the help. */
  readonly also?: readonly string[] | undefined;
}

export interface Command {
  /** After `berth`: `run`, `image list`. */
  readonly name: string;
  readonly summary: string;
  /** What follows the name: `[flags] IMAGE [COMMAND…]`. */
  readonly usage: string;
  readonly flags: readonly Flag[];
  /** How many words must and may follow; no `max`: any number. */
  readonly words: { readonly min: number; readonly max?: number };
  /** From this word on nothing is a flag of ours: it belongs to the command that is started. */
  readonly passAfter?: number;
  /** A `--` right before those words is a separator and not one of them. */
  readonly dropSeparator?: boolean;
  /** More for the help page. */
  readonly notes?: readonly string[];
  /** Does a failure of Berth itself end with 125, because the other codes are the started command's own? */
  readonly runsCommand?: boolean;
  /** Answers the exit code. */
  run(context: Context, words: Words): Promise<number>;
}

export interface Context {
  readonly stdio: Stdio;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly project: string;
  readonly host: string | undefined;
  /** A line for people, on standard error. */
  tell(text: string): Promise<void>;
}
