/** The columns of each kind. */
import { formatBytes } from '../lib/bytes.ts';
import { FORM_LABEL } from '../model/forms.ts';
import type { AuditRecord } from '../model/audit-record.ts';
import type { Event } from '../model/event.ts';
import type { Image } from '../model/image.ts';
import type { Instance } from '../model/instance-status.ts';
import type { BerthObject } from '../model/meta.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import type { Operation } from '../model/operation.ts';
import type { Pool } from '../model/pool.ts';
import type { Project } from '../model/project.ts';
import { shortReference } from '../model/reference.ts';
import type { Volume } from '../model/volume.ts';
import { ageOf } from './age.ts';

export interface ViewColumn<T> {
  readonly title: string;
  readonly align?: 'right';
  readonly wide?: boolean;
  /** Shown where at least one has something to say. */
  readonly ifAny?: boolean;
  /** Where there is no room, in this order: fewer words, or (without them) the whole column. */
  readonly gives?: { readonly order: number; readonly cell?: (item: T) => string };
  cell(item: T): string;
}

export interface View {
  readonly singular: string;
  readonly columns: readonly ViewColumn<BerthObject>[];
}

const NOTHING = '-';
const text = (value: unknown): string => (value === undefined || value === null || value === '' ? NOTHING : String(value));

function view<T extends BerthObject>(singular: string, columns: readonly ViewColumn<T>[]): View {
  return { singular, columns: columns as unknown as readonly ViewColumn<BerthObject>[] };
}

const NAME: ViewColumn<BerthObject> = { title: 'NAME', cell: (one) => one.meta.name };
const PROJECT: ViewColumn<BerthObject> = { title: 'PROJECT', wide: true, cell: (one) => text(one.meta.project) };
const OWNER: ViewColumn<BerthObject> = { title: 'OWNER', wide: true, cell: (one) => text(one.meta.owner) };
const AGE: ViewColumn<BerthObject> = { title: 'AGE', cell: (one) => ageOf(one.meta.createdAt) };
const STATE: ViewColumn<BerthObject<unknown, { readonly state: string }>> = { title: 'STATE', cell: (one) => text(one.status.state) };

export const VIEWS: Readonly<Record<string, View>> = {
  Instance: view<Instance>('instance', [
    NAME,
    { title: 'FORM', gives: { order: 3, cell: (one) => (FORM_LABEL[one.status.form] ?? text(one.status.form)).replace(' container', '') }, cell: (one) => FORM_LABEL[one.status.form] ?? text(one.status.form) },
    { title: 'STATE', gives: { order: 4, cell: (one) => stateText(one).replace(/^running \((.*)\)$/, '$1') }, cell: stateText },
    { title: 'BOUNDARY', cell: (one) => text(one.status.boundary) },
    { title: 'ADDRESS', cell: (one) => text(one.status.ports?.[0]?.ipv4) },
    { title: 'PORTS', gives: { order: 5, cell: firstPort }, cell: (one) => portTexts(one).join(', ') || NOTHING },
    { title: 'IMAGE', gives: { order: 1 }, cell: (one) => shortReference(one.status.imageReference ?? one.spec.image) },
    AGE, PROJECT, { title: 'OWNER', ifAny: true, gives: { order: 2 }, cell: (one) => text(one.meta.owner) },
    { title: 'NODE', wide: true, cell: (one) => text(one.status.node) },
    { title: 'RESTARTS', wide: true, align: 'right', cell: (one) => text(one.status.restarts) },
    { title: 'PID', wide: true, align: 'right', cell: (one) => text(one.status.pid) },
  ]),
  Image: view<Image>('image', [
    { title: 'REFERENCE', cell: (one) => one.spec.references.map(shortReference).join(', ') || NOTHING },
    { title: 'ID', cell: (one) => one.status.digest.replace(/^sha256:/, '').slice(0, 12) },
    { title: 'TYPE', cell: (one) => text(one.status.type ?? 'oci') },
    { title: 'SIZE', align: 'right', cell: (one) => formatBytes(one.status.bytes) },
    { title: 'LAYERS', wide: true, align: 'right', cell: (one) => String(one.status.layers.length) },
    { title: 'ARCH', wide: true, cell: (one) => text(one.status.config.architecture) },
    AGE,
  ]),
  Volume: view<Volume>('volume', [NAME, { title: 'TYPE', cell: (one) => one.spec.type }, { title: 'SIZE', align: 'right', cell: (one) => sizeOf(one) }, { title: 'POOL', cell: (one) => one.spec.pool ?? 'default' }, STATE as never, AGE, PROJECT, OWNER]),
  Network: view<Network>('network', [
    NAME,
    { title: 'IPV4', cell: (one) => subnet(one.status.ipv4) },
    { title: 'IPV6', wide: true, cell: (one) => subnet(one.status.ipv6) },
    { title: 'TRAFFIC', cell: (one) => [one.spec.isolated ? 'isolated' : 'open', ...(one.spec.internal ? ['internal'] : [])].join(', ') },
    STATE as never, AGE, PROJECT,
  ]),
  Operation: view<Operation>('operation', [
    NAME,
    { title: 'VERB', cell: (one) => one.spec.verb },
    { title: 'TARGET', cell: (one) => text(one.spec.target.name) },
    { title: 'STATE', cell: (one) => one.status.state },
    { title: 'STEP', cell: (one) => (one.status.state === 'running' ? text(one.spec.steps[one.status.step]) : NOTHING) },
    { title: 'ERROR', wide: true, cell: (one) => text(one.status.error?.message) },
    { title: 'BY', wide: true, cell: (one) => text(one.spec.actor) },
    AGE,
  ]),
  Event: view<Event>('event', [
    { title: 'TIME', cell: (one) => one.spec.time },
    { title: 'TYPE', cell: (one) => one.spec.type },
    { title: 'TARGET', cell: (one) => text(one.spec.target?.name) },
    { title: 'MESSAGE', cell: (one) => one.spec.message },
  ]),
  AuditRecord: view<AuditRecord>('audit', [
    { title: 'TIME', cell: (one) => one.spec.time },
    { title: 'ACTOR', cell: (one) => one.spec.actor },
    { title: 'VERB', cell: (one) => one.spec.verb },
    { title: 'TARGET', cell: (one) => text(one.spec.target?.name) },
    { title: 'RESULT', cell: (one) => `${one.status.result}${one.status.errorCode === undefined ? '' : ` (${one.status.errorCode})`}` },
  ]),
  Project: view<Project>('project', [NAME, { title: 'INSTANCES', align: 'right', cell: instancesOf }, { title: 'MEMORY LIMIT', align: 'right', cell: (one) => (one.spec.memoryLimitBytes === undefined ? NOTHING : formatBytes(one.spec.memoryLimitBytes)) }, STATE as never, AGE, OWNER]),
  Pool: view<Pool>('pool', [
    NAME,
    { title: 'KIND', cell: (one) => one.spec.kind },
    { title: 'SIZE', align: 'right', cell: (one) => formatBytes(one.status.totalBytes) },
    { title: 'FREE', align: 'right', cell: (one) => formatBytes(one.status.freeBytes) },
    { title: 'QUOTA', cell: (one) => (one.status.quota ? 'yes' : 'no') },
    STATE as never,
  ]),
  Node: view<Node>('node', [
    NAME,
    STATE as never,
    { title: 'CPUS', align: 'right', cell: (one) => String(one.status.cpus) },
    { title: 'MEMORY', align: 'right', cell: (one) => formatBytes(one.status.memoryBytes) },
    { title: 'KERNEL', cell: (one) => text(one.status.kernel) },
    { title: 'FORMS', cell: (one) => one.status.forms.filter((form) => form.available).map((form) => FORM_LABEL[form.form]).join(', ') || NOTHING },
    { title: 'VERSION', wide: true, cell: (one) => text(one.status.version) },
    AGE,
  ]),
};

/** `stopped (0)`, `stopped (oom)`, `failed`: how it ended is part of what people look for. */
export function stateText({ status }: Instance): string {
  if (status.state === 'running' && status.mode === 'os') return { unknown: 'running (booting)', unhealthy: 'running (degraded)', healthy: 'running' }[status.health ?? 'healthy'];
  if (status.state !== 'stopped' || status.exitCode === undefined) return status.state;
  return `stopped (${status.reason === 'oom' ? 'out of memory' : status.reason === 'poweroff' ? 'off' : status.reason === 'panic' ? 'panic' : status.exitCode})`;
}

/** `*:8080→80`, `[fd00::1]:8080→80/udp`; the two loopback addresses of one port are one entry without an address. */
function portTexts({ status }: Instance): readonly string[] {
  const seen = new Map<string, string>();
  for (const { hostAddress, hostPort, targetPort, protocol } of status.published ?? []) {
    const tail = `${hostPort}→${targetPort}${protocol === 'udp' ? '/udp' : ''}`;
    const address = hostAddress === '0.0.0.0' ? '*' : hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress;
    const isLoopback = hostAddress === '127.0.0.1' || hostAddress === '::1';
    seen.set(isLoopback ? `lo ${tail}` : `${address} ${tail}`, isLoopback ? tail : `${address}:${tail}`);
  }
  return [...seen.values()];
}

/** `8080→80 +2`: the rest is in the object. */
function firstPort(one: Instance): string {
  const [first, ...rest] = portTexts(one);
  return first === undefined ? NOTHING : rest.length === 0 ? first : `${first} +${rest.length}`;
}

function subnet(address: { readonly gateway: string; readonly prefixLength: number } | undefined): string {
  return address === undefined ? NOTHING : `${address.gateway}/${address.prefixLength}`;
}

/** `3 of 10` where there is a limit. */
function instancesOf({ spec, status }: Project): string {
  return `${status.instances ?? NOTHING}${spec.instancesLimit === undefined ? '' : ` of ${spec.instancesLimit}`}`;
}

function sizeOf({ spec, status }: Volume): string {
  const bytes = spec.sizeBytes ?? status.sizeBytes;
  return bytes === undefined ? NOTHING : formatBytes(bytes);
}
