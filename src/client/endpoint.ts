/** Where the daemon answers: `unix:/path`, from --host, BERTH_HOST or the default. */
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';

export interface Endpoint {
  readonly socketPath: string;
}

export const DEFAULT_HOST = 'unix:/run/berth/berth.sock';

/** sun_path holds 108 bytes with its closing NUL. */
const MAX_SOCKET_PATH = 107;

export function parseEndpoint(host: string | undefined): Endpoint {
  const text = host === undefined || host === '' ? DEFAULT_HOST : host;
  const path = text.startsWith('unix://') ? text.slice(7) : text.startsWith('unix:') ? text.slice(5) : text.startsWith('/') ? text : undefined;
  if (path === undefined) {
    const isNetwork = /^(https?|tcp):/.test(text);
    throw new BerthError(isNetwork ? 'unsupported' : 'invalid', isNetwork
      ? `'${printable(text)}' is an address on the network, and this version answers on a unix socket only.`
      : `'${printable(text)}' is no address of a daemon.`, { hint: `Write unix:/path/to/berth.sock, in --host or BERTH_HOST. The default is ${DEFAULT_HOST}.` });
  }
  if (!path.startsWith('/') || path.includes('\0')) throw new BerthError('invalid', `The socket's path '${printable(path)}' must be absolute.`);
  if (new TextEncoder().encode(path).length > MAX_SOCKET_PATH) {
    throw new BerthError('invalid', `The socket's path has more than ${MAX_SOCKET_PATH} bytes, which Linux does not allow.`, { hint: 'Give the daemon a shorter --run directory.' });
  }
  return { socketPath: path };
}
