/** DiskUsage: what the daemon keeps on the disk of its node, by what it is (`berth system df`). */

export const DISK_USAGE_OF = {
  images: 'Images as they came: compressed layers, documents, disk images, and the image files that VMs boot from.',
  layers: 'Layers of images, unpacked; each lies there once, however many images have it.',
  volumes: 'Data of volumes.',
  instances: 'What instances wrote into their own root.',
  logs: 'Output of instances that was kept.',
  templates: 'Memory of booted machines, for microVMs to start from.',
} as const;

/** What one image takes (`berth image list`). */
export interface ImageUsage {
  /** Name of the image object: its short id. */
  readonly name: string;
  readonly project: string;
  readonly digest: string;
  /** Bytes of its layers, unpacked, each counted once. */
  readonly bytes: number;
  /** Of them, bytes of layers that another image has, too. */
  readonly sharedBytes: number;
  /** What its deletion would free. */
  readonly ownBytes: number;
  readonly instances: number;
}

/** Memory of a booted machine, for microVMs of its shape to start from. */
export interface WarmTemplate {
  readonly id: string;
  /** Missing: all projects. */
  readonly project?: string | undefined;
  /** Of the machine. */
  readonly memoryBytes?: number | undefined;
  /** On the disk. */
  readonly bytes: number;
  /** RFC 3339, UTC. */
  readonly madeAt: string;
  readonly usedAt: string;
}

export interface DiskUsageRow {
  readonly what: keyof typeof DISK_USAGE_OF;
  readonly count: number;
  /** Used by instances; instances that are not stopped. */
  readonly active: number;
  readonly bytes: number;
  /** What would be free if everything that is not active were deleted. */
  readonly reclaimableBytes: number;
}

export interface DiskUsage {
  readonly kind: 'DiskUsage';
  readonly revision: number;
  readonly items: readonly DiskUsageRow[];
}
