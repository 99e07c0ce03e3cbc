/** The firmware that a disk is booted by: SeaBIOS comes with QEMU, UEFI is the distribution's package. */
import fs from 'node:fs';
import path from 'node:path';
import { BerthError } from '../../../model/errors.ts';
import { writeFileAtomic } from '../../../host/files.ts';
import type { DiskRootPlan } from '../driver.ts';
import { nocloudDisk } from './nocloud-disk.ts';

export interface FirmwareFiles {
  /** Shared by all machines, read-only. */
  readonly uefiCode: string;
  /** What a new machine's variables are copied from. */
  readonly uefiVariables: string;
  /** SeaBIOS and the screen's own program. */
  readonly biosDir: string;
}

export const DEBIAN_FIRMWARE: FirmwareFiles = { uefiCode: '/usr/share/OVMF/OVMF_CODE_4M.fd', uefiVariables: '/usr/share/OVMF/OVMF_VARS_4M.fd', biosDir: '/usr/share/seabios' };

/** undefined: this host has it. */
export function missingFirmware(firmware: DiskRootPlan['firmware'], files: FirmwareFiles): { readonly reason: string; readonly hint: string } | undefined {
  const wanted = firmware === 'uefi' ? [files.uefiCode, files.uefiVariables, files.biosDir] : [files.biosDir];
  const missing = wanted.find((file) => !fs.existsSync(file));
  if (missing === undefined) return undefined;
  return firmware === 'uefi'
    ? { reason: `There is no UEFI firmware: ${missing} is missing.`, hint: '`berth up` installs it (Debian package ovmf). Or boot it with --firmware bios.' }
    : { reason: `There is no BIOS: ${missing} is missing.`, hint: '`berth up` installs it (Debian package seabios).' };
}

/** Beside the disk: they live and go with it. */
export const variablesFile = (disk: DiskRootPlan): string => path.join(path.dirname(disk.file), 'vars.fd');
export const seedFile = (disk: DiskRootPlan): string => path.join(path.dirname(disk.file), 'seed.iso');

/** What a boot needs beside the disk itself. Variables that a system wrote are kept; the seed is written anew. Errors: `unsupported`. */
export async function prepareDisk(disk: DiskRootPlan, files: FirmwareFiles): Promise<void> {
  const missing = missingFirmware(disk.firmware, files);
  if (missing !== undefined) throw new BerthError('unsupported', missing.reason, { hint: missing.hint });
  if (disk.firmware === 'uefi' && !fs.existsSync(variablesFile(disk))) {
    const fresh = `${variablesFile(disk)}.new`;
    await fs.promises.copyFile(files.uefiVariables, fresh);
    await fs.promises.chmod(fresh, 0o600);
    await fs.promises.rename(fresh, variablesFile(disk));
  }
  if (disk.seed === undefined) return;
  const { metaData, userData, networkConfig } = disk.seed;
  await writeFileAtomic(seedFile(disk), nocloudDisk({ 'meta-data': metaData, 'user-data': userData, ...(networkConfig === undefined ? {} : { 'network-config': networkConfig }) }), 0o600);
}
