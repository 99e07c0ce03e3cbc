/** The example estate as workloads, and the pinned form of what is decided about it. */
import fs from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { adviseEstate } from '../../src/advise/advise-estate.ts';
import { parseInput } from '../../src/model/define.ts';
import { workload, type Workload } from '../../src/model/workload.ts';

const DIRECTORY = path.join(import.meta.dirname, '../../examples/estate');

export function exampleEstate(): Workload[] {
  const files = fs.readdirSync(DIRECTORY).filter((name) => name.endsWith('.yaml')).sort();
  return files.flatMap((name) => (parse(fs.readFileSync(path.join(DIRECTORY, name), 'utf8')) as unknown[]).map((one) => parseInput(workload, one, `workload in ${name}`)));
}

export function estateDecisions(): string {
  const { decisions, placement, redFlags } = adviseEstate(exampleEstate(), { host: { hardwareVirtualization: true } });
  const pinned = {
    decisions: Object.fromEntries(decisions.map((one) => [one.workload, {
      form: one.form, runnerUp: one.runnerUp ?? 'none left', confidence: one.confidence, reasons: one.reasons, flags: one.redFlags.map((flag) => flag.flag),
    }])),
    placement: placement.map((rule) => ({ ...rule, groups: rule.groups.map((group) => (group.length > 8 ? [`${group.length} workloads`] : group)) })),
    redFlags: redFlags.map((one) => one.sentence),
  };
  return stringify(pinned, { lineWidth: 0, aliasDuplicateObjects: false });
}
