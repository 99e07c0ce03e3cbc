/** WWW-Authenticate (RFC 9110 §11.6.1): what a registry wants to see before it answers. */

export type Challenge =
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: string; readonly service: string | undefined };

const SCHEME = /^\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+|$)/;
const PARAMETER = /^\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/;

/** The strongest challenge that is known; undefined when there is none. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  let rest = header ?? '';
  let basic = false;
  while (rest !== '') {
    const scheme = SCHEME.exec(rest);
    if (scheme === null) break;
    rest = rest.slice(scheme[0].length);
    const parameters = new Map<string, string>();
    for (let one = PARAMETER.exec(rest); one !== null; one = PARAMETER.exec(rest)) {
      parameters.set(one[1]!.toLowerCase(), one[2]?.replaceAll(/\\(.)/g, '$1') ?? one[3]!);
      rest = rest.slice(one[0].length);
    }
    const name = scheme[1]!.toLowerCase();
    const realm = parameters.get('realm');
    if (name === 'bearer' && realm !== undefined) return { kind: 'bearer', realm, service: parameters.get('service') };
    if (name === 'basic') basic = true;
  }
  return basic ? { kind: 'basic' } : undefined;
}
