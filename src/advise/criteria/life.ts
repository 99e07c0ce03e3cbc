/** Criteria about the life of a workload: copies, start, releases, patching, uptime, state. */
import { FORMS } from '../../model/forms.ts';
import { byMode, scores, type Scores, type Subject } from '../subject.ts';
import { SOURCES, type Criterion } from './criterion.ts';

function most({ spec }: Subject): number | undefined {
  return spec.replicas === undefined ? spec.replicasMax : Math.max(spec.replicas, spec.replicasMax ?? 0);
}

const perDay = (perMonth: number): string => (perMonth >= 60 ? `${Math.round(perMonth / 30)} times a day` : perMonth >= 20 ? 'about daily' : perMonth >= 1.5 ? `${Math.round(perMonth)} times a month` : perMonth > 0.8 ? 'once a month' : `${Math.round(perMonth * 12)} times a year`);

/** Start time against what it can afford; where VMs were emulated, only that they are slower counts, halved. */
function startScores({ figures }: Subject, limitMs: number): Scores | undefined {
  const value = (form: (typeof FORMS)[number]): number => {
    const measured = figures.forms[form]?.startColdMs;
    if (measured === undefined || measured.value === 0) return 0;
    return (Math.log10(limitMs / measured.value) / 2) * (measured.transferable ? 1 : 0.5);
  };
  return FORMS.some((form) => figures.forms[form]?.startColdMs !== undefined) ? scores(value('appContainer'), value('osContainer'), value('microVM'), value('vm')) : undefined;
}

export const LIFE: readonly Criterion[] = [
  {
    id: 'copies',
    title: 'Many copies of one application',
    asks: 'How many alike copies run?',
    weight: 3,
    source: SOURCES.twelveFactor,
    judge: (subject) => {
      const count = most(subject);
      if (count === undefined) return undefined;
      if (count < 2) return { scores: scores(0, 0, 0, 0), sentence: 'There is one of it.', fields: ['replicas', 'replicasMax'] };
      const { sshLogins, interactiveUsers, manualChanges } = subject.spec.inside ?? {};
      const byHand = sshLogins === true || interactiveUsers === true || manualChanges === true;
      const fields = ['replicas', 'replicasMax', 'inside.sshLogins', 'inside.interactiveUsers', 'inside.manualChanges'];
      const share = Math.min(1, Math.log10(count) / 1.3);
      // Copies that people work in are not alike for long.
      if (byHand) return { scores: scores(0.2 * share, 0.2 * share, -0.2 * share, -0.3 * share), sentence: `Up to ${count} of it run, but people work in them, so they do not stay alike; each one’s overhead counts.`, fields };
      return { scores: scores(share, -0.3 * share, 0.7 * share, -0.8 * share), sentence: `Up to ${count} alike copies run: app forms share one image, and the more copies the more each one’s overhead counts.`, fields };
    },
  },
  {
    id: 'start',
    title: 'Start time and scale range',
    asks: 'How fast must it be there, and how far does it scale?',
    weight: 2.5,
    source: SOURCES.figures,
    judge: (subject) => {
      const { lifecycle, replicas, replicasMax } = subject.spec;
      const fields = ['lifecycle.startMs', 'lifecycle.runMinutes', 'replicas', 'replicasMax'];
      const scaled = replicas !== undefined && replicasMax !== undefined && replicasMax > replicas;
      // A job of minutes must not spend more than a hundredth of its life on the start; a scaled service has ten seconds.
      const limitMs = lifecycle?.startMs ?? (lifecycle?.runMinutes === undefined ? (scaled ? 10_000 : undefined) : Math.min(60_000, lifecycle.runMinutes * 600));
      if (limitMs === undefined) return undefined;
      const by = startScores(subject, Math.max(1, limitMs));
      if (by === undefined) return undefined;
      const asked = lifecycle?.startMs !== undefined ? `It can afford ${limitMs} ms to start` : scaled ? `It scales between ${replicas} and ${replicasMax}, so new copies must come soon` : `A copy lives ${lifecycle?.runMinutes} minutes, so its start must be short`;
      return { scores: by, sentence: `${asked}; containers start fastest, a VM that boots an operating system slowest.`, fields };
    },
  },
  {
    id: 'releases',
    title: 'Release rate and rebuild',
    asks: 'How often is it released?',
    weight: 2.5,
    source: SOURCES.twelveFactor,
    judge: ({ spec: { lifecycle } }) => {
      const rate = lifecycle?.releasesPerMonth;
      if (rate === undefined) return undefined;
      if (rate < 1) return { scores: byMode(-0.1, 0.2), sentence: `It is released ${perDay(rate)}; building images for it pays slowly.`, fields: ['lifecycle.releasesPerMonth'] };
      const share = Math.min(1, Math.log10(rate + 1) / 1.5);
      return { scores: byMode(share, -0.6 * share), sentence: `It is released ${perDay(rate)}; replacing an image is quicker and safer than changing a machine.`, fields: ['lifecycle.releasesPerMonth'] };
    },
  },
  {
    id: 'patching',
    title: 'Patching burden (operating systems to keep)',
    asks: 'How is it patched, and how many operating systems must somebody keep?',
    weight: 2,
    source: SOURCES.nist190,
    judge: ({ spec: { lifecycle } }) => {
      if (lifecycle?.patching === 'rebuild') return { scores: scores(0.8, -0.5, 0.6, -0.8), sentence: 'It is patched by a new image; app forms leave no operating system to keep.', fields: ['lifecycle.patching'] };
      if (lifecycle?.patching === 'in-place') return { scores: scores(-0.9, 0.7, -0.9, 0.4), sentence: 'It is patched in place, which needs an OS form; an OS container leaves the kernel to the host.', fields: ['lifecycle.patching'] };
      return { scores: scores(0.3, -0.1, -0.1, -0.4), sentence: 'A VM is one more operating system with a kernel to patch, an OS container one without; an app form is rebuilt.', fields: ['lifecycle.patching'] };
    },
  },
  {
    id: 'uptime',
    title: 'Live migration and uptime',
    asks: 'May it stop when its host does?',
    weight: 2,
    source: SOURCES.forms,
    judge: (subject) => {
      const uptime = subject.spec.lifecycle?.uptimePercent;
      const fields = ['lifecycle.uptimePercent', 'lifecycle.liveMigration', 'replicas'];
      if (uptime === undefined || uptime < 99.9) return undefined;
      const count = most(subject);
      if (count !== undefined && count > 1) return { scores: scores(0.3, 0, 0.2, 0), sentence: `${uptime} % uptime comes from its ${count} copies, not from one that never stops.`, fields };
      return count === undefined ? undefined : { scores: scores(-0.2, -0.1, -0.1, 0.6), sentence: `${uptime} % uptime with one copy: only a VM can leave its host while it runs.`, fields };
    },
  },
  {
    id: 'state',
    title: 'State',
    asks: 'What must outlive a restart, and whose is it?',
    weight: 1.5,
    source: SOURCES.twelveFactor,
    judge: ({ spec: { state } }) => {
      const fields = ['state.kind', 'state.ownPerReplica', 'state.bytes'];
      if (state?.kind === undefined) return undefined;
      if (state.kind === 'none') return { scores: byMode(0.6, -0.3), sentence: 'It keeps nothing; a copy can be thrown away and made anew.', fields };
      if (state.ownPerReplica === true) return { scores: scores(0.2, 0, 0, 0), sentence: 'Each copy has data of its own, on a volume beside the image.', fields };
      return state.kind === 'files' ? { scores: scores(0, 0.1, -0.1, 0), sentence: 'Its files live on a volume, which every form can have.', fields }
        : { scores: scores(0, 0.2, -0.1, 0.2), sentence: 'It keeps a database; on a volume it outlives the instance, in an OS form also without one.', fields };
    },
  },
];
