/** The text of `qm config`, `pct config`, or of files below /etc/pve: lines of `key: value` (qm.conf(5), pct.conf(5)). Several may follow each other, split by lines like `# 100`. */
import type { Workload } from '../../model/workload.ts';
import type { ImportProblem } from './import-result.ts';
import { isContainer, writeGuest, type Setting } from './proxmox-guest.ts';
import { openDraft } from './workload-draft.ts';

const LINE = /^([a-z][a-z0-9_.-]*):\s(.*)$/i;
/** Keys that no other format has. */
const TELLTALE = /^(rootfs|scsihw|vmgenid|smbios1|ostype|unprivileged|bootdisk|(?:scsi|virtio|sata|ide|mp|hostpci)\d+):\s/m;

export function isProxmoxConfig(text: string): boolean {
  const lines = text.split(/\r?\n/, 400).filter((line) => line.trim() !== '');
  const fitting = lines.filter((line) => LINE.test(line) || line.startsWith('#') || /^\[[\w:-]+\]$/.test(line) || /^lxc\.[\w.]+\s*[=:]/.test(line));
  // A damaged line must not make it another format.
  return TELLTALE.test(text) && fitting.length >= lines.length * 0.8 && !/^[ \t]+\S/m.test(text);
}

interface Guest {
  readonly line: number;
  readonly heading: string | undefined;
  readonly settings: Map<string, Setting>;
  description: string[];
}

export function importProxmoxConfig(file: string, text: string): { readonly workloads: readonly Workload[]; readonly problems: readonly ImportProblem[] } {
  const problems: ImportProblem[] = [];
  const workloads = guestsOf(file, text, problems).flatMap((guest) => {
    const { settings } = guest;
    const name = settings.get(isContainer(settings) ? 'hostname' : 'name')?.value ?? guest.heading ?? fileNumber(file);
    if (name === undefined) {
      problems.push({ file, line: guest.line, field: 'name', message: 'The guest has neither name nor hostname.' });
      return [];
    }
    const draft = openDraft(name, { file, line: guest.line });
    if (guest.description.length > 0 && !settings.has('description')) settings.set('description', { value: guest.description.join(' '), line: guest.line });
    writeGuest(draft, settings, problems);
    const done = draft.finish();
    problems.push(...done.problems);
    return done.workload === undefined ? [] : [done.workload];
  });
  return { workloads, problems };
}

/** Snapshots stand in sections of their own after the guest, and are no guests. */
function guestsOf(file: string, text: string, problems: ImportProblem[]): readonly Guest[] {
  const guests: Guest[] = [];
  let guest: Guest | undefined;
  let inSnapshot = false;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trimEnd();
    const number = index + 1;
    if (line === '') continue;
    const heading = /^#\s*(?:qm|pct)?\s*(?:config\s+)?(\d{3,9})\s*$/.exec(line);
    if (heading !== null) {
      guests.push(guest = { line: number, heading: heading[1]!, settings: new Map(), description: [] });
      inSnapshot = false;
      continue;
    }
    if (/^\[[\w:-]+\]$/.test(line)) {
      inSnapshot = true;
      continue;
    }
    if (inSnapshot) continue;
    if (guest === undefined) guests.push(guest = { line: number, heading: undefined, settings: new Map(), description: [] });
    if (line.startsWith('#')) {
      guest.description.push(line.slice(1).trim());
      continue;
    }
    const match = LINE.exec(line) ?? /^(lxc\.[\w.]+)\s*[=:]\s*(.*)$/.exec(line);
    if (match === null) problems.push({ file, line: number, message: 'This is no line of `key: value`.' });
    else guest.settings.set(match[1]!, { value: match[2]!.trim(), line: number });
  }
  return guests.filter((one) => one.settings.size > 0);
}

/** /etc/pve/qemu-server/100.conf has its number in its name alone. */
function fileNumber(file: string): string | undefined {
  return /(\d{3,9})\.(?:conf|txt)$/.exec(file)?.[1];
}
