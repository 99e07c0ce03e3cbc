/**
 * Proxmox as JSON: `pvesh get /cluster/resources --output-format json` (lists of guests, nodes, storages), the same of a
 * node (`/nodes/N/qemu`), or one guest's `config`; pve.proxmox.com/pve-docs/api-viewer. The HTTP API's {data: …} is read, too.
 */
import type { Workload } from '../../model/workload.ts';
import type { ImportProblem } from './import-result.ts';
import { writeGuest, type Setting } from './proxmox-guest.ts';
import { isMap, type SourceDocument, type SourceNode } from './source-node.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

function dataOf(value: unknown): unknown {
  return isMap(value) && (Array.isArray(value['data']) || isMap(value['data'])) ? value['data'] : value;
}

export function isProxmoxJson(value: unknown): boolean {
  const data = dataOf(value);
  if (Array.isArray(data)) return data.some((one) => isMap(one) && ('vmid' in one || (typeof one['id'] === 'string' && /^(qemu|lxc|node|storage)\//.test(one['id']))));
  return isMap(data) && ('digest' in data || 'vmgenid' in data || 'rootfs' in data) && ('memory' in data || 'cores' in data);
}

export function importProxmoxJson(document: SourceDocument, problems: ImportProblem[]): readonly Workload[] {
  const root = isMap(document.root.value) && document.root.value['data'] !== undefined ? document.root.at('data') : document.root;
  const drafts = Array.isArray(root.value) ? root.list().flatMap((node) => ofResource(node) ?? []) : [ofConfig(root, problems)].flatMap((one) => one ?? []);
  return drafts.flatMap((draft) => {
    const done = draft.finish();
    problems.push(...done.problems);
    return done.workload === undefined ? [] : [done.workload];
  });
}

/** Nodes, storages and pools stand in the same list, and templates run never. */
function ofResource(node: SourceNode): WorkloadDraft | undefined {
  const type = node.at('type').value;
  if (type !== undefined && type !== 'qemu' && type !== 'lxc') return undefined;
  if (node.at('vmid').missing || node.at('template').flag() === true) {
    if (type !== undefined && node.at('vmid').missing) node.problem('The guest has no vmid.');
    return undefined;
  }
  const vmid = node.at('vmid').text() ?? '';
  const draft = openDraft(node.at('name').text() ?? vmid, { file: node.file, line: node.line() });
  // `pvesh get /nodes/N/lxc` has no type but in `type`, and `/nodes/N/qemu` none at all.
  const isLxc = type === 'lxc';
  draft.knew('change.currentForm', isLxc ? 'osContainer' : 'vm', 'type');
  draft.label('proxmox.vmid', vmid);
  draft.label('proxmox.node', node.at('node').text());
  draft.label('proxmox.status', node.at('status').text());
  draft.knew('change.currentHost', node.at('node').text(), 'node');
  draft.inferred('replicas', 1, 'It is one guest.', 'vmid');
  if (isLxc) {
    draft.inferred('os.family', 'linux', 'Containers of this kind run on Linux.', 'type');
    draft.inferred('inside.needsInit', true, 'A system container is started by an init.', 'type');
  } else draft.unknown('os.family', 'type: the list of guests does not say');
  const positive = (key: string): number | undefined => {
    const value = node.at(key).number();
    return value === undefined || value <= 0 ? undefined : value;
  };
  const cpus = positive('maxcpu') ?? positive('cpus');
  draft.knew(`resources.${isLxc ? 'limits' : 'requests'}.cpus`, cpus, 'maxcpu');
  draft.knew('resources.requests.memoryBytes', positive('maxmem'), 'maxmem');
  draft.knew('resources.requests.diskBytes', positive('maxdisk'), 'maxdisk');
  const share = positive('cpu');
  if (share !== undefined && cpus !== undefined) draft.knew('resources.mean.cpus', share * cpus, 'cpu × maxcpu');
  draft.knew('resources.mean.memoryBytes', positive('mem'), 'mem');
  return draft;
}

/** `pvesh get /nodes/N/qemu/100/config`: the settings of qm.conf(5) as members. */
function ofConfig(root: SourceNode, problems: ImportProblem[]): WorkloadDraft | undefined {
  const settings = new Map<string, Setting>();
  for (const [key, value] of root.entries()) {
    const text = isMap(value.value) || Array.isArray(value.value) ? undefined : value.text();
    if (text !== undefined) settings.set(key, { value: text, line: value.line() });
  }
  const name = settings.get('name')?.value ?? settings.get('hostname')?.value;
  if (name === undefined) {
    root.problem('The guest has neither name nor hostname.');
    return undefined;
  }
  const draft = openDraft(name, { file: root.file, line: root.line() });
  writeGuest(draft, settings, problems);
  return draft;
}
