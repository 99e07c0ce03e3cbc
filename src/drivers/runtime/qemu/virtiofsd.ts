/** How virtiofsd is called. Its walls are native/vm-share.c's. */

/** In the control group beside the guest's memory: its own, and the descriptors and names that the guest makes it hold. */
export const SHARE_OVERHEAD_MIB = 48;

/**
 * Its socket is descriptor 3, the directory is /share: native/vm-share.c.
 * - `cache auto`: what others wrote is seen within two seconds, for names and attributes are remembered for one; files can be
 *   mapped, which `never` refuses. No writeback: what is written is the host's at once.
 * - Extended attributes as in containers, where the kernel decides by the same user namespace which of them.
 * - No `--tag`: QEMU 7.1 to 8.0 crash on the configuration that it offers.
 */
export function virtiofsdCommandLine(command: readonly string[]): readonly string[] {
  return [
    ...command, '--fd=3', '--shared-dir=/share', '--sandbox=chroot', '--seccomp=kill', '--modcaps=-mknod:-setfcap', '--cache=auto', '--xattr',
    '--inode-file-handles=never', '--no-announce-submounts', '--rlimit-nofile=0', '--log-level=error',
  ];
}
