/** Criteria about what a form costs: in the kernel, in hardware, in work. */
import type { Figures } from '../../model/figures.ts';
import { FORM_LABEL, FORMS, type Form } from '../../model/forms.ts';
import { meaningOfPath } from '../host-paths.ts';
import { byIsolation, byMode, scores, type Subject } from '../subject.ts';
import { SOURCES, type Criterion } from './criterion.ts';

const MIB = 1024 * 1024;

interface Overheads {
  readonly bytes: Readonly<Record<Form, number>>;
  readonly least: number;
  readonly words: string;
}

/** The same figures are asked for with every workload, some hundred times each. */
const overheadsOf = new WeakMap<Figures, Overheads | null>();
const OVERHEAD_FIELDS = FORMS.map((form) => `figures.${form}.memoryOverheadBytes`);

function overheads({ figures }: Subject): Overheads | null {
  const kept = overheadsOf.get(figures);
  if (kept !== undefined) return kept;
  const made = measuredOverheads(figures);
  overheadsOf.set(figures, made);
  return made;
}

function measuredOverheads(figures: Figures): Overheads | null {
  const of = (form: Form): number | undefined => figures.forms[form]?.memoryOverheadBytes?.value;
  const known = FORMS.map((form) => of(form)).filter((one): one is number => one !== undefined);
  if (known.length === 0) return null;
  // A form that could not be measured here is taken for as heavy as the heaviest.
  const bytes = Object.fromEntries(FORMS.map((form) => [form, of(form) ?? Math.max(...known)])) as Record<Form, number>;
  const words = FORMS.map((form) => `${FORM_LABEL[form]} ${of(form) === undefined ? 'not measured' : (bytes[form] / MIB).toFixed(bytes[form] < 10 * MIB ? 1 : 0)}`).join(', ');
  return { bytes, least: Math.max(1, Math.min(...known)), words };
}

export const COST: readonly Criterion[] = [
  {
    id: 'system',
    title: 'Other operating system or kernel',
    asks: 'Does it fit on the host’s kernel?',
    weight: 2,
    source: SOURCES.forms,
    judge: ({ spec: { os } }) => {
      const fields = ['os.family', 'os.unsupported', 'os.ownKernel', 'os.modules', 'os.sysctls'];
      if (os?.unsupported === true) return { scores: scores(-0.4, -0.1, 0, 0.3), sentence: 'Its base gets no more updates; on a new kernel it may break, and its weaknesses stay.', fields };
      if (os?.family !== 'linux') return undefined;
      const asks = (os.sysctls ?? []).length > 0;
      return { scores: asks ? byMode(-0.1, 0.1) : byIsolation(0.2, 0), sentence: asks ? 'It changes settings of its own network or IPC, which the OS forms do at boot.' : 'It is Linux, and asks nothing of the kernel that the host’s does not give.', fields };
    },
  },
  {
    id: 'devices',
    title: 'Devices, modules and the host’s files',
    asks: 'Does it reach for hardware or files of the host?',
    weight: 1.5,
    source: SOURCES.forms,
    judge: ({ spec: { os, privileges } }) => {
      const data = (privileges?.hostPaths ?? []).filter((one) => meaningOfPath(one) === 'data').length;
      if (data > 0) return { scores: byIsolation(0.3, -0.5), sentence: `It works on ${data === 1 ? 'a directory' : `${data} directories`} of the host, which containers see directly; for a VM they become volumes.`, fields: ['privileges.hostPaths'] };
      return os?.gpu === 'shared' ? { scores: byIsolation(0.5, -0.5), sentence: 'It shares a GPU through the host’s driver.', fields: ['os.gpu'] } : undefined;
    },
  },
  {
    id: 'variation',
    title: 'Varying resource needs on the same hardware',
    asks: 'How far are its peaks from its mean?',
    weight: 2,
    source: SOURCES.felter,
    judge: ({ spec: { resources } }) => {
      const ratios = (['cpus', 'memoryBytes'] as const).flatMap((name) => {
        const mean = resources?.mean?.[name];
        const peak = resources?.peak?.[name];
        return mean === undefined || peak === undefined || mean === 0 ? [] : [peak / mean];
      });
      if (ratios.length === 0) return undefined;
      const ratio = Math.max(1, ...ratios);
      const share = Math.min(1, Math.log2(ratio) / 4);
      const fields = ['resources.peak', 'resources.mean'];
      return { scores: byIsolation(0.7 * share, -0.5 * share), sentence: `Its peaks are ${ratio.toFixed(1)} times its mean; containers lend each other what is free, a VM holds what it was given.`, fields };
    },
  },
  {
    id: 'density',
    title: 'Memory and disk overhead and density, as measured',
    asks: 'How much of the hardware goes to the form instead of the work?',
    weight: 3,
    source: SOURCES.figures,
    judge: (subject) => {
      const overhead = overheads(subject);
      if (overhead === null) return undefined;
      const { bytes, least, words } = overhead;
      const { resources } = subject.spec;
      const use = resources?.mean?.memoryBytes ?? resources?.requests?.memoryBytes;
      const heavy = resources?.syscallHeavy === true ? 0.2 : 0;
      // Without a known size only the order of the forms counts, on a logarithmic scale.
      const of = (form: Form): number => -(use === undefined || use === 0 ? Math.log10(Math.max(1, bytes[form]) / least) / 4 : bytes[form] / (bytes[form] + use)) + (form === 'appContainer' || form === 'osContainer' ? heavy : -heavy);
      return {
        scores: scores(of('appContainer'), of('osContainer'), of('microVM'), of('vm')),
        sentence: `Memory that the form itself takes, in MiB: ${words}${use === undefined ? '' : `; the work takes ${Math.round(use / MIB)}`}${heavy > 0 ? ', and every system call or packet costs more in a VM' : ''}.`,
        fields: [resources?.mean?.memoryBytes === undefined ? 'resources.requests' : 'resources.mean', 'resources.syscallHeavy', ...OVERHEAD_FIELDS],
      };
    },
  },
  {
    id: 'effort',
    title: 'Effort and risk of changing what exists',
    asks: 'What must be built or moved to get there?',
    weight: 4,
    source: SOURCES.migration,
    judge: ({ spec: { change, source, inside } }) => {
      const fields = ['change.currentForm', 'change.packagingExists', 'change.testsExist', 'source.kind', 'inside.applications'];
      const several = (inside?.applications ?? 1) > 1;
      if (change?.packagingExists === false) {
        const untested = change.testsExist === false;
        return { scores: untested ? scores(-0.9, 0.7, -0.9, 0.5) : scores(-0.6, 0.5, -0.6, 0.35), sentence: `There is no build${untested ? ' and no tests' : ''}; it can be moved as it stands, not remade.`, fields };
      }
      if (!several && (source?.kind === 'image' || source?.image !== undefined || change?.packagingExists === true || change?.currentForm === 'appContainer')) {
        return { scores: scores(0.7, -0.4, 0.55, -0.4), sentence: source?.kind === 'image' || source?.image !== undefined ? 'It already is an image that app forms run unchanged.' : 'There is a build, so that an image is a small step.', fields };
      }
      if (change?.currentForm === 'vm' || source?.kind === 'diskImage') return { scores: scores(-0.5, 0.4, -0.6, 0.45), sentence: 'It is a machine today: a VM keeps it so, an OS container takes its files over as they are, an app form means building anew.', fields };
      if (change?.currentForm === 'physical') return { scores: scores(-0.5, 0.4, -0.6, 0.4), sentence: 'It is a machine of its own today; its files can move as they are into an OS form.', fields };
      if (change?.currentForm === 'osContainer') return { scores: scores(-0.3, 0.6, -0.5, 0.2), sentence: 'It is an OS container today.', fields };
      return change?.currentForm === 'microVM' ? { scores: scores(0.4, -0.4, 0.6, 0), sentence: 'It is a microVM today.', fields } : undefined;
    },
  },
  {
    id: 'tooling',
    title: 'Operational tooling at hand',
    asks: 'What do its operators have tools and practice for?',
    weight: 1.5,
    source: SOURCES.judgement,
    judge: ({ spec: { change, lifecycle } }) => {
      const fields = ['change.teamTools', 'lifecycle.offline'];
      if (lifecycle?.offline === true) return { scores: byMode(-0.2, 0.4), sentence: 'It runs where no registry can be reached, so it should carry its tools with it.', fields };
      if (change?.teamTools === undefined) return undefined;
      if (change.teamTools === 'both') return { scores: scores(0, 0, 0, 0), sentence: 'Its operators know containers and VMs.', fields };
      return change.teamTools === 'containers' ? { scores: scores(0.5, 0.1, 0.3, -0.4), sentence: 'Its operators have tools and practice for containers.', fields }
        : { scores: scores(-0.5, 0.3, -0.2, 0.5), sentence: 'Its operators have tools and practice for VMs, and an OS container is handled like one.', fields };
    },
  },
];
