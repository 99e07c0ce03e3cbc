/** Criteria about trust. All of them speak more for VMs the more trust is needed; none the other way. */
import { byIsolation, scores, type Scores, type Subject } from '../subject.ts';
import { dataNeed, hostilityNeed } from '../trust-need.ts';
import { SOURCES, type Criterion } from './criterion.ts';

/**
 * Small needs fade: nearly every workload has some, and they would outvote the criteria of cost by their number alone.
 * Where VMs are emulated they are no boundary, so that need speaks for neither.
 */
function need(subject: Subject, amount: number): Scores {
  const felt = amount ** 1.5;
  return subject.host.hardwareVirtualization === false ? byIsolation(0, 0) : byIsolation(-felt, felt);
}

const noKvm = (subject: Subject): string => (subject.host.hardwareVirtualization === false ? ' (VMs are emulated here, so they would not help)' : '');

export const TRUST: readonly Criterion[] = [
  {
    id: 'origin',
    title: 'Own code or foreign, tenant, internet',
    asks: 'Whose code runs, and who can reach it?',
    weight: 2,
    source: SOURCES.nist190,
    judge: (subject) => {
      const { trust, source, inside } = subject.spec;
      if (trust?.code === undefined && trust?.internetFacing === undefined && inside?.administrators !== 'tenant') return undefined;
      const code = trust?.code === 'own' ? 'our own code' : trust?.code === 'third-party' ? `a third party’s code${source?.signed === true ? ', signed' : source?.signed === false ? ', unsigned' : ''}` : trust?.code === 'tenant' ? 'code of a tenant' : 'code of unknown origin';
      const reach = trust?.internetFacing === true ? ', and the internet reaches it' : trust?.internetFacing === false ? ', and the internet does not reach it' : '';
      const lowered = trust?.demand === 'lowered' ? '; its owner accepts the risk' : '';
      const amount = hostilityNeed(subject);
      const sentence = `It runs ${code}${reach}${lowered}${noKvm(subject)}.`;
      return { scores: need(subject, amount), sentence, fields: ['trust.code', 'trust.internetFacing', 'source.signed', 'inside.administrators', 'trust.demand'] };
    },
  },
  {
    id: 'sharing',
    title: 'Regulated data, kernel shared with whom',
    asks: 'Would a neighbour on the same kernel be a finding in an audit?',
    weight: 2,
    source: SOURCES.nist190,
    judge: (subject) => {
      const { trust } = subject.spec;
      if (trust?.regulated === undefined && trust?.sensitivity === undefined && trust?.noSharedKernelWith === undefined) return undefined;
      const amount = dataNeed(subject);
      const parts = [...(trust.regulated === true ? ['it is regulated'] : []), ...(trust.sensitivity === undefined ? [] : [`its data are ${trust.sensitivity}`])];
      const sentence = amount === 0 ? 'Nothing forbids it to share a kernel with others.' : `Sharing a kernel with others counts against containers, because ${parts.length === 0 ? 'it must stay apart from some of them' : parts.join(' and ')}${noKvm(subject)}.`;
      return { scores: need(subject, amount), sentence, fields: ['trust.regulated', 'trust.sensitivity', 'trust.noSharedKernelWith', 'trust.demand'] };
    },
  },
  {
    id: 'boundary',
    title: 'Strength of the boundary',
    asks: 'How strong must the wall around it be, whatever is inside?',
    weight: 3,
    source: SOURCES.firecracker,
    judge: (subject) => {
      const amount = Math.max(hostilityNeed(subject), dataNeed(subject));
      const fields = ['trust.code', 'trust.internetFacing', 'trust.regulated', 'trust.sensitivity', 'trust.demand', 'host.hardwareVirtualization'];
      if (amount === 0) return undefined;
      return { scores: need(subject, amount), sentence: `The wall matters here: a VM offers a narrow one of hardware, a container the whole system call interface of the host${noKvm(subject)}.`, fields };
    },
  },
  {
    id: 'privileges',
    title: 'Privileges asked for',
    asks: 'How many rights beyond an ordinary program’s does it ask for?',
    weight: 1.5,
    source: SOURCES.nist190,
    judge: ({ spec: { privileges } }) => {
      if (privileges?.root === undefined && privileges?.capabilities === undefined && privileges?.hostNetwork === undefined) return undefined;
      const capabilities = privileges.capabilities ?? [];
      const wide = capabilities.includes('SYS_ADMIN') || capabilities.includes('ALL') || capabilities.includes('NET_ADMIN');
      const amount = (privileges.root === true ? 0.1 : 0) + (wide ? 0.5 : Math.min(0.3, capabilities.length * 0.1)) + (privileges.hostNetwork === true ? 0.2 : 0);
      const asked = [...(privileges.root === true ? ['root'] : []), ...[...capabilities].sort(), ...(privileges.hostNetwork === true ? ['the host’s network'] : [])];
      if (asked.length === 0) return { scores: scores(0.2, 0, 0.1, 0), sentence: 'It asks for no privileges, so an app form can be locked down fully.', fields: ['privileges.root', 'privileges.capabilities'] };
      return { scores: scores(-amount, -0.5 * amount, amount, amount), sentence: `It asks for ${asked.join(', ')}; rights inside a VM end at the VM.`, fields: ['privileges.root', 'privileges.capabilities', 'privileges.hostNetwork'] };
    },
  },
  {
    id: 'blast',
    title: 'Blast radius of a kernel weakness',
    asks: 'If the kernel falls, what falls with it?',
    weight: 1,
    source: SOURCES.nist125,
    judge: ({ spec: { environment } }) => {
      const amount = environment === 'prod' || environment === 'dr' ? 0.3 : environment === undefined ? 0.2 : 0.1;
      return { scores: byIsolation(-amount, amount), sentence: `A weakness of the host’s kernel would open all containers of a host at once${environment === 'prod' || environment === 'dr' ? ', and this is production' : ''}.`, fields: ['environment'] };
    },
  },
];
