/**
 * Image references: [REGISTRY/]PATH[:TAG][@DIGEST], the grammar of the OCI distribution spec. A name without a registry
 * is looked up as localhost/NAME first (what was made here), then in the configured registries.
 */
import { BerthError } from './errors.ts';
import { printable } from './ids.ts';

export interface ImageReference {
  /** Host[:port]; undefined for a short name. */
  readonly registry: string | undefined;
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const REGISTRY = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
export const DIGEST_PATTERN = /^sha256:[0-9a-f]{64}$/;
export const LOCAL_REGISTRY = 'localhost';

export function parseReference(text: string): ImageReference {
  const refuse = (why: string): never => {
    throw new BerthError('invalid', `'${printable(text)}' is not an image reference: ${why}.`, { hint: 'Write [REGISTRY/]NAME[:TAG] or NAME@sha256:….', fields: [{ path: 'spec.image', message: why }] });
  };
  if (text.length === 0 || text.length > 512) return refuse('it is empty or too long');
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !DIGEST_PATTERN.test(digest)) return refuse('the digest is not sha256 and 64 lower-case hex digits');
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) return refuse('the tag has characters that a tag cannot have');
  const path = hasTag ? named.slice(0, colon) : named;
  const parts = path.split('/');
  const first = parts[0]!;
  const isRegistry = parts.length > 1 && (first.includes('.') || first.includes(':') || first === LOCAL_REGISTRY);
  if (isRegistry && !isRegistryName(first)) return refuse('the registry is not a host name with an optional port');
  const components = isRegistry ? parts.slice(1) : parts;
  if (components.some((component) => !COMPONENT.test(component))) return refuse('the name has characters that a name cannot have');
  return { registry: isRegistry ? first : undefined, repository: components.join('/'), tag, digest };
}

/** The stored form: registry and tag written out, the digest kept only when it is all there is. */
export function canonicalReference(reference: ImageReference): string {
  const name = `${reference.registry ?? LOCAL_REGISTRY}/${reference.repository}`;
  if (reference.tag === undefined && reference.digest !== undefined) return `${name}@${reference.digest}`;
  return `${name}:${reference.tag ?? 'latest'}`;
}

/** For people: localhost/busybox:latest is busybox:latest. */
export function shortReference(canonical: string): string {
  return canonical.startsWith(`${LOCAL_REGISTRY}/`) ? canonical.slice(LOCAL_REGISTRY.length + 1) : canonical;
}

/** Single names of docker.io are below `library/`, in every tool. */
export const DEFAULT_REGISTRY = 'docker.io';

/** The reference at a registry: `busybox` at docker.io is docker.io/library/busybox. One that names a registry stays as it is. */
export function atRegistry(reference: ImageReference, registry: string): ImageReference {
  if (reference.registry !== undefined) return reference;
  const repository = registry === DEFAULT_REGISTRY && !reference.repository.includes('/') ? `library/${reference.repository}` : reference.repository;
  return { ...reference, registry, repository };
}

/** Where a reference may be found, in the order of looking. Images that are here are looked up before (localhost/NAME, and these). */
export function remoteCandidates(reference: ImageReference, search: readonly string[]): readonly ImageReference[] {
  if (reference.registry === DEFAULT_REGISTRY) return [atRegistry({ ...reference, registry: undefined }, DEFAULT_REGISTRY)];
  return reference.registry === undefined ? search.map((registry) => atRegistry(reference, registry)) : [reference];
}

/** HOST[:PORT] as a reference may have it. */
export function isRegistryName(text: string): boolean {
  return text.length <= 255 && REGISTRY.test(text) && (!/:[0-9]+$/.test(text) || Number(/[0-9]+$/.exec(text)![0]) <= 65_535);
}
