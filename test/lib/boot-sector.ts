/**
 * A system of 512 bytes on a raw disk. It greets on screen and serial port, and does what it is told by single letters:
 * `p` powers off, `r` restarts, `c` dies as a kernel in panic says it, `s` and `h` go to sleep in memory and on disk, `e` ejects
 * every device that there is, `w` writes the disk's second sector over its first; anything else it gives back. The power button
 * ends it.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export const GREETING = 'tiny system';
export const SECTOR = 512;

/** Ports of QEMU's q35: serial 3f8, power management 600 (as SeaBIOS puts it), ejection cc4, reset cf9, pvpanic 505. */
const SOURCE = `
.code16
.globl _start
_start:
  cli
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movw $0x7c00, %sp
  movb %dl, drive
  movw $0x3fb, %dx
  movb $3, %al
  outb %al, %dx
  movw $0x602, %dx
  movw $0x0100, %ax
  outw %ax, %dx
  movw $greeting, %si
1: lodsb
  testb %al, %al
  jz wait
  pushw %ax
  movb $0x0e, %ah
  movw $7, %bx
  int $0x10
  popw %ax
  movw $0x3f8, %dx
  outb %al, %dx
  jmp 1b
wait:
  movw $0x600, %dx
  inw %dx, %ax
  testb $1, %ah
  jnz button
  movw $0x3fd, %dx
  inb %dx, %al
  testb $1, %al
  jz wait
  movw $0x3f8, %dx
  inb %dx, %al
  cmpb $'p', %al
  je off
  cmpb $'r', %al
  je reset
  cmpb $'c', %al
  je panic
  cmpb $'w', %al
  je write
  movw $0x2400, %bx
  cmpb $'s', %al
  je sleep
  movw $0x2800, %bx
  cmpb $'h', %al
  je sleep
  cmpb $'e', %al
  je eject
  outb %al, %dx
  jmp wait
button:
  movw $0x3f8, %dx
  movb $'B', %al
  outb %al, %dx
off:
  movw $0x604, %dx
  movw $0x2000, %ax
  outw %ax, %dx
  jmp off
reset:
  movw $0xcf9, %dx
  movb $6, %al
  outb %al, %dx
  jmp reset
sleep:
  movw $0x604, %dx
  movw %bx, %ax
  outw %ax, %dx
  jmp wait
eject:
  xorl %eax, %eax
  movw $0xcd4, %dx
  outl %eax, %dx
  decl %eax
  movw $0xccc, %dx
  outl %eax, %dx
  movw $0x3f8, %dx
  movb $'J', %al
  outb %al, %dx
  jmp wait
panic:
  movw $0x505, %dx
  movb $1, %al
  outb %al, %dx
  jmp panic
write:
  movb drive, %dl
  movw $packet, %si
  movw $1, lba
  movb $0x42, %ah
  int $0x13
  movb drive, %dl
  movw $packet, %si
  movw $0, lba
  movw $0x4300, %ax
  int $0x13
  movb $'W', %al
  jnc 2f
  movb $'E', %al
2: movw $0x3f8, %dx
  outb %al, %dx
  jmp wait
greeting: .asciz "${GREETING}\\r\\n"
drive: .byte 0
.balign 4
packet: .byte 16, 0
  .word 1, 0x8000, 0
lba: .long 0, 0
.org 510
  .word 0xaa55
`;

let assembled: Buffer | undefined;

export function bootSector(): Buffer {
  if (assembled !== undefined) return assembled;
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-sector-'));
  try {
    const [object, flat] = [path.join(dir, 'o'), path.join(dir, 'bin')];
    execFileSync('as', ['--32', '-o', object, '-'], { input: SOURCE });
    execFileSync('ld', ['-m', 'elf_i386', '-Ttext', '0x7c00', '--oformat', 'binary', '-o', flat, object]);
    return assembled = fs.readFileSync(flat);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

/** `second`: what its second sector holds. */
export function writeTinyDisk(file: string, second: Buffer = Buffer.alloc(0)): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const disk = Buffer.alloc(2 * SECTOR);
  bootSector().copy(disk);
  second.copy(disk, SECTOR);
  fs.writeFileSync(file, disk, { mode: 0o600 });
  fs.truncateSync(file, 4 * 1024 * 1024);
}
