/** A picture of three bytes for each dot (binary PPM) as a PNG (RFC 2083). */
import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const MAX_SIDE = 16_384;
const RGB = 2, EIGHT_BITS = 8;

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Rows from above, red, green, blue. */
  readonly dots: Buffer;
}

/** undefined: it is none, or not whole. */
export function parsePpm(data: Buffer): Picture | undefined {
  const head = /^P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s/.exec(data.toString('latin1', 0, 64));
  if (head === null) return undefined;
  const width = Number(head[1]), height = Number(head[2]), dots = data.subarray(head[0].length);
  return width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE && dots.length === width * height * 3 ? { width, height, dots } : undefined;
}

export async function encodePng({ width, height, dots }: Picture): Promise<Buffer> {
  const row = width * 3, rows = Buffer.alloc((row + 1) * height);
  // Each row begins with how it was prepared: not at all.
  for (let y = 0; y < height; y++) dots.copy(rows, y * (row + 1) + 1, y * row, (y + 1) * row);
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([EIGHT_BITS, RGB], 8);
  return Buffer.concat([SIGNATURE, chunk('IHDR', head), chunk('IDAT', await promisify(deflate)(rows)), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type: string, data: Buffer): Buffer {
  const whole = Buffer.alloc(12 + data.length);
  whole.writeUInt32BE(data.length, 0);
  whole.write(type, 4, 'latin1');
  data.copy(whole, 8);
  whole.writeUInt32BE(crc32(whole.subarray(4, 8 + data.length)), 8 + data.length);
  return whole;
}
