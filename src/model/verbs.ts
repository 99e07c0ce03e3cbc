/**
 * Every verb, as data: `instance.start` is at once the CLI words, the OpenAPI operationId, the permission, the audit
 * action, the metric label and the name in tests.
 */

export type Permission = 'read' | 'write' | 'admin';

export interface VerbRule {
  readonly name: string;
  readonly kind: string;
  readonly permission: Permission;
  /** Doing it twice is the same as once. */
  readonly idempotent: boolean;
  /** Answers 202 with an Operation. */
  readonly long: boolean;
  /** Changes something, and so leaves an audit record. */
  readonly mutates: boolean;
  readonly summary: string;
}

const read = { permission: 'read', idempotent: true, long: false, mutates: false } as const;
const quick = { permission: 'write', idempotent: true, long: false, mutates: true } as const;
const long = { permission: 'write', idempotent: true, long: true, mutates: true } as const;
const once = { ...long, idempotent: false } as const;

const table = {
  'instance.create': { ...once, summary: 'Make an instance, started when spec.running is true.' },
  'instance.run': { ...once, summary: 'Make and start an instance with its input and output on this connection.' },
  'instance.start': { ...long, summary: 'Start.' },
  'instance.stop': { ...long, summary: 'Ask it to end, kill it after the grace period.' },
  'instance.restart': { ...once, summary: 'Stop and start.' },
  'instance.kill': { ...quick, idempotent: false, summary: 'Send a signal.' },
  'instance.pause': { ...quick, summary: 'Freeze.' },
  'instance.resume': { ...quick, summary: 'Unfreeze.' },
  'instance.rename': { ...quick, summary: 'Give it another name.' },
  'instance.update': { ...quick, summary: 'Change the spec by merge patch.' },
  'instance.delete': { ...long, summary: 'Delete it with its root.' },
  'instance.exec': { ...quick, idempotent: false, summary: 'Run a command inside.' },
  'instance.attach': { ...quick, idempotent: false, summary: 'Connect to its input and output.' },
  'instance.copyIn': { ...quick, summary: 'Put files into it.' },
  'instance.copyOut': { ...quick, summary: 'Take files out of it.' },
  'instance.resize': { ...quick, summary: 'Set the size of its terminal.' },
  'instance.get': { ...read, summary: 'Show one.' },
  'instance.list': { ...read, summary: 'List.' },
  'instance.logs': { ...read, summary: 'Show its output.' },
  'instance.screenshot': { ...read, summary: 'Show what is on its screen, as PNG.' },
  'instance.wait': { ...read, summary: 'Wait until it is in a state.' },
  'instance.stats': { ...read, summary: 'Show what it uses.' },
  'instance.top': { ...read, summary: 'Show the processes inside.' },
  'instance.evidence': { ...read, summary: 'Show what was seen of it while it runs: memory, time, ports, users.' },
  'image.import': { ...once, summary: 'Take in an archive.' },
  'image.pull': { ...once, summary: 'Fetch an image from a registry.' },
  'image.push': { ...once, summary: 'Send an image to a registry.' },
  'image.copy': { ...once, summary: 'Copy an image from one registry to another.' },
  'image.bootstrap': { ...once, summary: 'Make a base image on this host.' },
  'image.tag': { ...quick, summary: 'Give it another name.' },
  'image.delete': { ...long, summary: 'Take a name away; the last one takes the image.' },
  'image.prune': { ...quick, summary: 'Delete images that nothing uses, and content that belongs to none.' },
  'image.usage': { ...read, summary: 'Show what images take of their own and shared with others.' },
  'image.export': { ...read, summary: 'Write it as an archive.' },
  'image.get': { ...read, summary: 'Show one.' },
  'image.list': { ...read, summary: 'List.' },
  'volume.create': { ...long, summary: 'Make a volume.' },
  'volume.update': { ...quick, summary: 'Make it larger.' },
  'volume.delete': { ...long, summary: 'Delete it with its data.' },
  'volume.get': { ...read, summary: 'Show one.' },
  'volume.list': { ...read, summary: 'List.' },
  'network.create': { ...long, summary: 'Make a network.' },
  'network.delete': { ...long, summary: 'Delete a network that nothing uses.' },
  'network.get': { ...read, summary: 'Show one.' },
  'network.list': { ...read, summary: 'List.' },
  'project.create': { ...quick, permission: 'admin', summary: 'Make a project with its default network.' },
  'project.update': { ...quick, permission: 'admin', summary: 'Change its limits.' },
  'project.delete': { ...long, permission: 'admin', summary: 'Delete an empty project.' },
  'project.get': { ...read, summary: 'Show one.' },
  'project.list': { ...read, summary: 'List.' },
  'pool.get': { ...read, summary: 'Show one.' },
  'pool.list': { ...read, summary: 'List.' },
  'node.get': { ...read, summary: 'Show one.' },
  'node.list': { ...read, summary: 'List.' },
  'registry.list': { ...read, summary: 'List the registries that this node has settings for.' },
  'registry.login': { ...quick, summary: 'Ask a registry whether it takes these credentials.' },
  'system.df': { ...read, summary: 'Show what lies on the disk and what could be freed.' },
  'system.templates': { ...read, permission: 'admin', summary: 'List the memory of booted machines that microVMs start from.' },
  'system.pruneTemplates': { ...quick, permission: 'admin', summary: 'Delete templates that nothing started from for a while.' },
  'operation.get': { ...read, summary: 'Show one.' },
  'operation.list': { ...read, summary: 'List.' },
  'operation.wait': { ...read, summary: 'Wait until it is finished.' },
  'operation.cancel': { ...quick, summary: 'Undo what it did so far.' },
  'event.list': { ...read, summary: 'List or follow.' },
  'audit.list': { ...read, permission: 'admin', summary: 'List who did what.' },
  'node.setFigures': { ...quick, permission: 'admin', summary: 'Keep what was measured on it.' },
  'advise.estate': { ...read, summary: 'Say which form each workload of an estate should have, why, and what it costs.' },
  'advise.review': { ...read, summary: 'Weigh running instances again on evidence.' },
  'debug.leaks': { ...read, permission: 'admin', summary: 'List what lies on the host under this root’s names and belongs to nothing.' },
  'debug.steps': { ...read, permission: 'admin', summary: 'List every step of every verb.' },
} as const satisfies Record<string, Omit<VerbRule, 'name' | 'kind'>>;

export type VerbName = keyof typeof table;

export const VERBS = Object.fromEntries(
  Object.entries(table).map(([name, rule]) => [name, { ...rule, name, kind: name.slice(0, name.indexOf('.')) }]),
) as Readonly<Record<VerbName, VerbRule>>;
