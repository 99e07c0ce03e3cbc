/** What is on a picture, roughly: enough to tell a screen with text from a blank one. */
import { inflateSync } from 'node:zlib';

export interface Dots {
  readonly width: number;
  readonly height: number;
  /** How many dots have which colour (#rrggbb). */
  readonly colours: ReadonlyMap<string, number>;
  /** Rows of dots that are not all of one colour. */
  readonly drawnRows: number;
}

/** Of a PNG as ours: eight bits, RGB, no filters. */
export function decodePng(data: Uint8Array): Dots {
  const png = Buffer.from(data);
  if (png.toString('latin1', 1, 4) !== 'PNG' || png[24] !== 8 || png[25] !== 2) throw new Error('no PNG of three bytes a dot');
  const width = png.readUInt32BE(16), height = png.readUInt32BE(20), parts: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  const rows = inflateSync(Buffer.concat(parts)), colours = new Map<string, number>();
  let drawnRows = 0;
  for (let y = 0; y < height; y++) {
    const row = rows.subarray(y * (width * 3 + 1) + 1, (y + 1) * (width * 3 + 1));
    const inRow = new Set<string>();
    for (let x = 0; x < row.length; x += 3) {
      const colour = `#${row.toString('hex', x, x + 3)}`;
      inRow.add(colour);
      colours.set(colour, (colours.get(colour) ?? 0) + 1);
    }
    if (inRow.size > 1) drawnRows++;
  }
  return { width, height, colours, drawnRows };
}
