/** What the generated table of fields says of each: for flags, `explain` and the comparison in `apply`. */

/** A meaning is a sentence, or a refusal with its reason. */
export type FormMeaning = string | { readonly refused: string };

export interface FieldEntry {
  readonly path: string;
  readonly describe: string;
  readonly type: string;
  readonly change: 'live' | 'restart' | 'never';
  readonly flag?: string;
  readonly short?: string;
  readonly value?: string;
  readonly repeat?: boolean;
  readonly secret?: boolean;
  /** What the daemon fills in, where the field is an object or a list of them: by dotted path within it. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  readonly means: Readonly<Record<'appContainer' | 'osContainer' | 'microVM' | 'vm', FormMeaning>>;
}
