import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { encodePng, parsePpm } from './png.ts';

const dots = Buffer.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
const ppm = (head: string, body: Buffer = dots): Buffer => Buffer.concat([Buffer.from(head), body]);

test('a picture comes through whole', async () => {
  const png = await encodePng(parsePpm(ppm('P6\n3 2\n255\n'))!);
  assert.equal(png.toString('latin1', 1, 4), 'PNG');
  assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [3, 2]);
  const length = png.readUInt32BE(33);
  assert.equal(png.toString('latin1', 37, 41), 'IDAT');
  assert.deepEqual(inflateSync(png.subarray(41, 41 + length)), Buffer.concat([Buffer.of(0), dots.subarray(0, 9), Buffer.of(0), dots.subarray(9)]));
});

test('what is no picture, or a part of one, is none', () => {
  for (const data of [Buffer.alloc(0), ppm('P5 3 2 255 '), ppm('P6 3 2 65535 '), ppm('P6 3 3 255 '), ppm('P6 0 2 255 ', Buffer.alloc(0)), ppm('P6 99999 99999 255 '), ppm('P6 3 2 255 ', dots.subarray(1))]) assert.equal(parsePpm(data), undefined);
});
