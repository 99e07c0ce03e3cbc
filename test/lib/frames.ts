/** Ethernet frames byte by byte, for tests that send what no honest stack would. */
import { addressBytes } from '../../src/lib/ip-address.ts';

export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

const mac = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);

function checksum(...parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return u16(~sum & 0xffff);
}

export function ethernet(to: string, from: string, type: number, payload: Buffer): string {
  return Buffer.concat([mac(to), mac(from), u16(type), payload]).toString('hex');
}

/** `operation` 1 asks, 2 answers (RFC 826). */
export function arp(operation: number, senderMac: string, senderIp: string, targetMac: string, targetIp: string): Buffer {
  return Buffer.concat([u16(1), u16(0x0800), Buffer.from([6, 4]), u16(operation), mac(senderMac), addressBytes(senderIp), mac(targetMac), addressBytes(targetIp)]);
}

export function udp(from: string, to: string, fromPort: number, toPort: number, data: string): Buffer {
  const payload = Buffer.from(data, 'latin1');
  const head = Buffer.concat([u16(fromPort), u16(toPort), u16(8 + payload.length)]);
  const pseudo = Buffer.concat([addressBytes(from), addressBytes(to), Buffer.from([0, 17]), u16(8 + payload.length)]);
  return Buffer.concat([head, checksum(pseudo, head, u16(0), payload), payload]);
}

export function ipv4(from: string, to: string, protocol: number, payload: Buffer): Buffer {
  const head = Buffer.concat([Buffer.from([0x45, 0]), u16(20 + payload.length), Buffer.from([0, 0, 0x40, 0, 64, protocol])]);
  const addresses = Buffer.concat([addressBytes(from), addressBytes(to)]);
  return Buffer.concat([head, checksum(head, addresses), addresses, payload]);
}

export function ipv6(from: string, to: string, nextHeader: number, hopLimit: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x60, 0, 0, 0]), u16(payload.length), Buffer.from([nextHeader, hopLimit]), addressBytes(from), addressBytes(to), payload]);
}

/** `body` follows type, code and checksum. */
export function icmpv6(from: string, to: string, type: number, body: Buffer): Buffer {
  const pseudo = Buffer.concat([addressBytes(from), addressBytes(to), Buffer.from([0, 0]), u16(4 + body.length), Buffer.from([0, 0, 0, 58])]);
  const head = Buffer.from([type, 0]);
  return Buffer.concat([head, checksum(pseudo, head, u16(0), body), body]);
}

/** Body of a neighbour advertisement (RFC 4861 §4.4): override, and options as given. */
export function advertisement(target: string, ...options: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([0x20, 0, 0, 0]), addressBytes(target), ...options]);
}

export const targetMacOption = (address: string): Buffer => Buffer.concat([Buffer.from([2, 1]), mac(address)]);
/** An option of eight bytes that everybody skips. */
export const nonceOption = (): Buffer => Buffer.from([14, 1, 1, 2, 3, 4, 5, 6]);
/** Destination options header of eight bytes, padding only (RFC 8200 §4.6). */
export const destinationOptions = (nextHeader: number): Buffer => Buffer.from([nextHeader, 0, 1, 4, 0, 0, 0, 0]);
/** Fragment header; `more` says that others follow. */
export const fragment = (nextHeader: number, more: boolean): Buffer => Buffer.from([nextHeader, 0, 0, more ? 1 : 0, 0, 0, 0, 7]);
