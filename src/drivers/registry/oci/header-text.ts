/** Text in headers of HTTP. */

export function asBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

export interface ContentRange {
  readonly first: number;
  readonly last: number;
  readonly size: number | undefined;
}

/** RFC 9110 §14.4: `bytes 0-499/1234`, or a size that is not known. */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(?:(\d{1,16})|\*)$/.exec(header?.trim() ?? '');
  if (match === null) return undefined;
  return { first: Number(match[1]), last: Number(match[2]), size: match[3] === undefined ? undefined : Number(match[3]) };
}

/** `Range: 0-499` of an upload's status: how many bytes the registry has. The distribution says `0-0` for none, too. */
export function parseUploadRange(header: string | undefined): number {
  const match = /^(?:bytes=)?0-(\d{1,16})$/.exec(header?.trim() ?? '');
  return match === null || Number(match[1]) === 0 ? 0 : Number(match[1]) + 1;
}
