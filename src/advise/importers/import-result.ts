/** What an importer takes and gives. Pure: text in, workloads and problems out. */
import type { Workload } from '../../model/workload.ts';

export interface EstateFile {
  /** As the user named it; `-` is standard input. */
  readonly name: string;
  readonly text: string;
}

/** Something of a file that could not be understood. The rest of the estate is processed without it. */
export interface ImportProblem {
  readonly file: string;
  /** From 1; missing where the whole file is meant. */
  readonly line?: number | undefined;
  /** As the file names it: `services.web.mem_limit`, `row 4, CPUs`. */
  readonly field?: string | undefined;
  /** A whole sentence. */
  readonly message: string;
}

export interface ImportResult {
  readonly workloads: readonly Workload[];
  readonly problems: readonly ImportProblem[];
}

export const FORMATS = {
  berth: 'Berth workloads (YAML or JSON)',
  compose: 'Docker Compose',
  kubernetes: 'Kubernetes manifests',
  docker: 'docker inspect',
  rvtools: 'RVTools CSV',
  proxmoxConfig: 'qm config or pct config',
  proxmoxJson: 'pvesh JSON',
  incus: 'incus list --format json',
  libvirt: 'virsh dumpxml',
  csv: 'CSV with a header of field names',
} as const;
export type EstateFormat = keyof typeof FORMATS;
