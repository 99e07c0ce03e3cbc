/** Decoder of the legacy LZ4 frame (`lz4 -l`), the one that Linux kernels are packed with. */

const LEGACY_MAGIC = 0x184c2102;
/** Every block but the last holds this much: lz4's doc/lz4_Frame_format.md, “Legacy frame”. */
const BLOCK_BYTES = 8 * 1024 * 1024;
const PIECE_BYTES = 256 * 1024;

export function isLegacyLz4(data: Uint8Array): boolean {
  return data.length >= 8 && view(data).getUint32(0, true) === LEGACY_MAGIC;
}

/** Yields the content unpacked, in order and in pieces of about {@link PIECE_BYTES}, between which other work can be done. Throws RangeError on damaged input; never writes past a block's bound. */
export function* legacyLz4Blocks(data: Uint8Array): Generator<Uint8Array> {
  if (!isLegacyLz4(data)) throw new RangeError('not a legacy LZ4 frame');
  const words = view(data);
  let at = 4;
  while (at + 4 <= data.length) {
    const length = words.getUint32(at, true);
    at += 4;
    if (length === 0 || at + length > data.length) throw new RangeError('LZ4 block passes the end of its input');
    yield* unpackBlock(data.subarray(at, at + length));
    at += length;
  }
}

function* unpackBlock(input: Uint8Array): Generator<Uint8Array> {
  const output = new Uint8Array(BLOCK_BYTES);
  let from = 0, to = 0, told = 0;
  const longer = (length: number): number => {
    for (let more = 255; more === 255;) {
      more = input[from++] ?? fail();
      length += more;
    }
    return length;
  };
  while (from < input.length) {
    const token = input[from++]!;
    const literals = token >> 4 === 15 ? longer(15) : token >> 4;
    if (from + literals > input.length || to + literals > output.length) fail();
    output.set(input.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from === input.length) {
      yield output.subarray(told, to);
      return;
    }
    if (to - told >= PIECE_BYTES) {
      // What follows refers to it and never changes it.
      yield output.subarray(told, to);
      told = to;
    }
    const distance = (input[from] ?? fail()) | ((input[from + 1] ?? fail()) << 8);
    from += 2;
    const length = ((token & 15) === 15 ? longer(15) : token & 15) + 4;
    if (distance === 0 || distance > to || to + length > output.length) fail();
    if (distance >= length) output.copyWithin(to, to - distance, to - distance + length);
    else for (let i = 0; i < length; i++) output[to + i] = output[to + i - distance]!; // source and target overlap: bytes repeat
    to += length;
  }
  fail();
}

function fail(): never {
  throw new RangeError('damaged LZ4 block');
}

function view(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
