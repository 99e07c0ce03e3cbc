/** Criteria about what is inside: how many applications, who puts hands on it, how much there is to attack. */
import { byMode, scores } from '../subject.ts';
import { SOURCES, type Criterion } from './criterion.ts';

export const INSIDE: readonly Criterion[] = [
  {
    id: 'applications',
    title: 'One application or several',
    asks: 'Does it hold one application, or several that live together?',
    weight: 4,
    source: SOURCES.twelveFactor,
    judge: ({ spec: { inside } }) => {
      const count = inside?.applications;
      const fields = ['inside.applications', 'inside.oneCommand'];
      if (count !== undefined && count > 1) return { scores: byMode(-1, 1), sentence: `It holds ${count} applications; an app form starts one, an OS form has an init for all of them.`, fields };
      if (inside?.oneCommand === true) return { scores: byMode(0.8, -0.6), sentence: 'Each copy runs one command and ends, which is what an app form does.', fields };
      return count === undefined ? undefined : { scores: byMode(0.8, -0.4), sentence: 'It is one application; it needs no operating system of its own around it.', fields };
    },
  },
  {
    id: 'hands',
    title: 'Changes by hand and logins',
    asks: 'Do people log in, work in it, or change it in place?',
    weight: 5,
    source: SOURCES.forms,
    judge: ({ spec: { inside } }) => {
      if (inside === undefined) return undefined;
      const { sshLogins, manualChanges, interactiveUsers, administrators } = inside;
      const fields = ['inside.sshLogins', 'inside.manualChanges', 'inside.interactiveUsers', 'inside.administrators'];
      if (sshLogins === true || interactiveUsers === true) {
        const who = sshLogins === true ? 'People log in by ssh' : 'Users work in it';
        return { scores: byMode(manualChanges === true ? -1 : -0.7, manualChanges === true ? 1 : 0.7), sentence: `${who}${manualChanges === true ? ' and change it by hand' : ''}; an OS form keeps what they do, an app form throws it away.`, fields };
      }
      if (manualChanges === true) return { scores: byMode(-0.5, 0.5), sentence: 'It is changed by hand; an OS form keeps that, an app form throws it away at the next start.', fields };
      const known = [sshLogins, interactiveUsers, manualChanges].filter((one) => one === false).length + (administrators === 'nobody' ? 1 : 0);
      return known === 0 ? undefined : { scores: byMode(0.15 * known, -0.15 * known), sentence: 'Nobody changes it from the inside; nothing is lost when its root file system is thrown away.', fields };
    },
  },
  {
    id: 'surface',
    title: 'Surface inside the workload',
    asks: 'How much software, and which rights, would an attacker find inside?',
    weight: 1.5,
    source: SOURCES.sultan,
    judge: ({ spec: { evidence, privileges, inside } }) => {
      const packages = evidence?.packages;
      const larger = (packages !== undefined && packages > 300 ? 0.3 : 0) + (inside?.sshLogins === true ? 0.1 : 0);
      const readOnly = privileges?.readOnlyRoot === true ? 0.3 : 0;
      const sentence = packages === undefined
        ? 'An app form holds the application alone; an OS form adds an init, logins and a package manager that can be attacked.'
        : `With ${packages} packages inside, ${packages > 300 ? 'there is much to attack, and an OS form keeps all of it running' : 'there is little to attack; an OS form adds an init and logins'}.`;
      return { scores: byMode(0.3 + readOnly, -0.3 - larger), sentence, fields: ['evidence.packages', 'privileges.readOnlyRoot', 'inside.sshLogins'] };
    },
  },
  {
    id: 'parts',
    title: 'Number of small parts to manage',
    asks: 'Into how many separately managed parts does it fall?',
    weight: 1.5,
    source: SOURCES.judgement,
    judge: ({ spec: { inside } }) => {
      const count = inside?.applications;
      if (count === undefined || count < 2) return undefined;
      const share = Math.min(1, (count - 1) / 4);
      return { scores: scores(-share, share, -share, 0.8 * share), sentence: `As app forms it would fall into ${count} parts with networks and orders of start between them; an OS form is one part.`, fields: ['inside.applications'] };
    },
  },
];
