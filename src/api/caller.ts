/** Who asks: from the peer of the unix socket, which the kernel vouches for. Client-supplied headers are never believed. */
import type { Socket } from 'node:net';
import { BerthError } from '../model/errors.ts';
import type { Permission } from '../model/verbs.ts';
import type { Caller } from '../control/services.ts';

export interface PeerIdentity {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** SO_PEERCRED of a unix socket, handed in by the composition root; undefined: nobody knows. */
export type IdentifyPeer = (socket: Socket) => PeerIdentity | undefined;

/** Whoever may connect to the socket (root, group `berth`) may do everything but show paths of the host: that is root's. */
export function callerOf(peer: PeerIdentity | undefined, requestId: string): Caller {
  if (peer === undefined) throw new BerthError('unauthenticated', 'Nobody knows who is asking.', { hint: 'Use the unix socket.' });
  return { actor: `uid:${peer.uid}`, admin: true, hostPaths: peer.uid === 0, requestId };
}

/** Until there are roles a credential is an administrator's or may only read. */
export function assertPermission(caller: Caller, permission: Permission): void {
  if (permission !== 'read' && !caller.admin) throw new BerthError('forbidden', 'This needs an administrator.');
}

const HOSTS: ReadonlySet<string> = new Set(['', 'localhost', 'berth', '127.0.0.1', '[::1]', 'd']);

/** A web page cannot be made to speak to the socket through somebody's proxy: its Host and Origin give it away. */
export function assertNotCrossSite(headers: { readonly host?: string | undefined; readonly origin?: string | undefined }): void {
  const host = (headers.host ?? '').toLowerCase().replace(/:\d+$/, '');
  if (!HOSTS.has(host)) throw new BerthError('forbidden', 'The Host header names a host that this is not.', { hint: 'Use Host: localhost.' });
  if (headers.origin !== undefined) throw new BerthError('forbidden', 'Requests from web pages are not allowed here.');
}
