/** Where the cases of the runtime suite go: to the test runner, or into a list that says which form runs what. */
import { describe, it } from 'node:test';

/** What a runtime has; a sentence where it cannot have it, in whose place its cases are not run. */
export type Has = true | { readonly no: string };

export interface CaseSink {
  group(title: string, cases: () => void): void;
  run(title: string, body: () => Promise<void>): void;
  refuse(title: string, reason: string): void;
}

export const testRunner: CaseSink = {
  group: (title, cases) => { describe(title, cases); },
  run: (title, body) => { it(title, body); },
  refuse: () => undefined,
};

export interface CaseList extends CaseSink {
  readonly ran: string[];
  readonly refused: { readonly title: string; readonly reason: string }[];
}

/** Runs nothing. */
export function caseList(): CaseList {
  const ran: string[] = [], refused: { title: string; reason: string }[] = [];
  const within: string[] = [];
  const named = (title: string): string => [...within.slice(1), title].join(': ');
  return {
    ran, refused,
    group(title, cases) {
      within.push(title);
      cases();
      within.pop();
    },
    run: (title) => { ran.push(named(title)); },
    refuse: (title, reason) => { refused.push({ title: named(title), reason }); },
  };
}
