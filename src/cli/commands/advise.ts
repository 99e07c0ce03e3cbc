/** `berth advise FILE…`: which form, why, and what it costs. The engine is loaded with the first file, by nobody else. */
import { BerthError } from '../../model/errors.ts';
import { printable } from '../../model/ids.ts';
import type { Command, Flag } from '../command.ts';
import { isThere } from '../estate-files.ts';
import { oneFormat } from '../output.ts';
import type { Words } from '../words.ts';

const OUTPUTS = ['table', 'json', 'yaml', 'markdown', 'html', 'csv'] as const;
export type AdviseOutput = (typeof OUTPUTS)[number];
const STRUCTURED = ['table', 'json', 'yaml'] as const;

const WITH_FILES: readonly Flag[] = [
  { name: 'weights', value: 'FILE', help: 'Weights of criteria over those of the table: a map of criterion to number.' },
  { name: 'prices', value: 'FILE', help: 'Host types with their prices; costs are left out without.' },
  { name: 'figures', value: 'FILE|shipped', help: 'Measured figures, from `berth advise calibrate -o json`. Without: those of the daemon that answers, else the shipped ones.' },
  { name: 'hardware-virtualization', help: 'The hosts can run VMs in hardware; `=false`: they cannot. Unknown without, unless the figures say it.' },
];

const FORMATS_NOTE = 'Reads, by what is in them: Berth workloads, Docker Compose, Kubernetes manifests (KubeVirt, too), `docker inspect`, RVTools CSV (vInfo, vCPU, vMemory, vDisk), `qm config`, `pct config`, `pvesh` JSON, `incus list --format json`, `virsh dumpxml`, and CSV with a header of field names. A directory stands for its files, - for standard input.';
const EXIT_NOTE = 'Ends with 0, or with 2 when something of the files could not be read: it is said on standard error, and the rest is answered.';

export function adviseCommand(verb: string): Command {
  if (verb === 'review') return review;
  if (verb === 'calibrate') return calibrate;
  return verb === 'manifests' ? manifests : advise;
}

const advise: Command = {
  name: 'advise',
  summary: 'Say which form each workload should have, why, and what it costs.',
  usage: 'FILE… [-o FORMAT] [--explain[=NAME]]',
  flags: [
    { name: 'output', short: 'o', value: OUTPUTS.join('|'), help: 'How to write it; html is one page that needs nothing else.' },
    { name: 'explain', value: 'NAME', valueOptional: true, help: 'The whole derivation, of all workloads or of one.' },
    ...WITH_FILES,
  ],
  words: { min: 1 },
  notes: [FORMATS_NOTE, EXIT_NOTE, 'Works without a daemon, and changes nothing.', '`berth advise manifests FILE…` writes what `berth apply` takes, `berth advise review` weighs what runs, `berth advise calibrate` measures this host.'],
  async run(context, words) {
    const { files, names } = await filesAndNames(words);
    const output = oneFormat(words.text('output') ?? 'table', OUTPUTS);
    const { runAdvise } = await import('../advise-run.ts');
    const explain = words.text('explain');
    return runAdvise(context, { files, output, explain: explain === undefined ? undefined : explain === 'true' ? names : [explain, ...names], ...options(words) });
  },
};

const manifests: Command = {
  name: 'advise manifests',
  summary: 'Write what `apply` takes for the forms that were advised.',
  usage: 'FILE… [--weights FILE]',
  flags: WITH_FILES,
  words: { min: 1 },
  notes: [FORMATS_NOTE, EXIT_NOTE],
  async run(context, words) {
    const { runManifests } = await import('../advise-run.ts');
    return runManifests(context, { files: words.words, ...options(words) });
  },
};

const review: Command = {
  name: 'advise review',
  summary: 'Weigh running instances again, on what was seen of them; nothing is changed.',
  usage: '[NAME…]',
  flags: [{ name: 'output', short: 'o', value: 'table|json|yaml', help: 'How to write it; json and yaml have the evidence.' }, { name: 'all-projects', short: 'A', help: 'Of every project.' }],
  words: { min: 0 },
  notes: ['Evidence is what can be seen from outside while it runs: memory, time, input and output, processes, ports, users. Labels `workload/FACT=VALUE` of an instance add what nobody can see: workload/trust.code=tenant.'],
  async run(context, words) {
    const { runReview } = await import('../review-run.ts');
    return runReview(context, words.words, structured(words), words.on('all-projects') ? '-' : undefined);
  },
};

const calibrate: Command = {
  name: 'advise calibrate',
  summary: 'Measure what each form costs on this host, and keep it.',
  usage: '[--instances N] [--memory-share PERCENT] [--os-image REF]',
  flags: [
    { name: 'form', value: 'appContainer|osContainer|microVM|vm', repeat: true, help: 'Only these; all that this host can run when missing.' },
    { name: 'instances', short: 'n', value: 'N', help: 'Containers to run at once (20).' },
    { name: 'machines', value: 'N', help: 'VMs to run at once (4).' },
    { name: 'memory-share', value: 'PERCENT', help: 'Stop before they use more than this share of the memory (25).' },
    { name: 'starts', value: 'N', help: 'Warm starts of each form (10).' },
    { name: 'idle', value: 'SECONDS', help: 'How long the idle ones are watched (10).' },
    { name: 'image', value: 'REF', help: 'Image of app forms (busybox).' },
    { name: 'os-image', value: 'REF', help: 'Image with an init, for OS forms; they are left out without.' },
    { name: 'drop-caches', help: 'Drop the host’s file caches before each cold start. Everything else on the host reads its files anew.' },
    { name: 'force', short: 'f', help: 'Measure on a busy host, too.' },
    { name: 'output', short: 'o', value: 'table|json|yaml', help: 'How to write it; json is what --figures takes.' },
  ],
  words: { min: 0, max: 0 },
  notes: ['Needs the daemon. Memory and disk are slopes over the number of instances. On emulated VMs memory and disk count, times are marked as saying nothing about other hosts. Kept with the node, and used by `advise`, `auto` and `review` from then on.'],
  async run(context, words) {
    const number = (flag: string, missing: number, most: number): number => {
      const text = words.text(flag) ?? String(missing);
      const value = Number(text);
      if (!/^\d+$/.test(text) || value < 1 || value > most) throw new BerthError('invalid', `--${flag} ${printable(text)}: not a whole number from 1 to ${most}.`);
      return value;
    };
    const { runCalibrate } = await import('../calibrate-run.ts');
    return runCalibrate(context, {
      forms: words.all('form'), instances: number('instances', 20, 1000), machines: number('machines', 4, 100), starts: number('starts', 10, 1000), idleSeconds: number('idle', 10, 3600), memoryPercent: number('memory-share', 25, 90),
      image: words.text('image') ?? 'busybox', osImage: words.text('os-image'), force: words.on('force'), dropCaches: words.on('drop-caches'), output: structured(words),
    });
  },
};

function structured(words: Words): (typeof STRUCTURED)[number] {
  return oneFormat(words.text('output') ?? 'table', STRUCTURED);
}

export interface AdviseInput {
  readonly files: readonly string[];
  readonly weights: string | undefined;
  readonly prices: string | undefined;
  readonly figures: string | undefined;
  readonly hardwareVirtualization: boolean | undefined;
}

function options(words: Words): Omit<AdviseInput, 'files'> {
  return {
    weights: words.text('weights'), prices: words.text('prices'), figures: words.text('figures'),
    hardwareVirtualization: words.given('hardware-virtualization') ? words.on('hardware-virtualization') : undefined,
  };
}

/** After `--explain`, a word that is no file is the name of a workload. */
async function filesAndNames(words: Words): Promise<{ readonly files: readonly string[]; readonly names: readonly string[] }> {
  if (!words.given('explain')) return { files: words.words, names: [] };
  const files: string[] = [];
  const names: string[] = [];
  for (const word of words.words) (await isThere(word) ? files : names).push(word);
  if (files.length === 0) throw new BerthError('invalid', `'${printable(words.words[0]!)}' cannot be read: there is no such file.`);
  return { files, names };
}
