/**
 * The system calls of an application container, as an OCI seccomp configuration for the native architecture only.
 *
 * The policy follows the default of moby/profiles v0.2.3 (see THIRD_PARTY.md): what is not listed answers EPERM. Where it
 * differs it is narrower: one architecture (no i386, no x32, so no socketcall), and socket families are compared for
 * equality where they lie above AF_ALG: the kernel reads the family as 32 bits, the filter compares 64, and “greater than
 * 40” would let 0x1_0000_0026 through, which is AF_ALG.
 */
import type { OciSeccomp, OciSeccompRule } from './oci-types.ts';
import profile from './seccomp/app-container.json' with { type: 'json' };

/** Bits of clone(2) that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const CLONE_NAMESPACES = 0x7e02_0000;
const ENOSYS = 38;
const EPERM = 1;

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64' };

/** `architecture` is Node's name for it. */
export function seccompProfile(capabilities: readonly string[], architecture: string): OciSeccomp {
  const native = ARCHITECTURES[architecture];
  if (native === undefined) throw new TypeError(`no seccomp profile for ${architecture}`);
  const allow = (names: readonly string[]): OciSeccompRule => ({ names, action: 'SCMP_ACT_ALLOW' });
  const whenFirst = (name: string, value: number, op: string): OciSeccompRule => ({ names: [name], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value, op }] });
  const names = new Set([...Object.values(profile.always).flat(), ...((profile.architectures as Record<string, string[]>)[architecture] ?? [])]);
  for (const [capability, more] of Object.entries(profile.capabilities)) if (capabilities.includes(capability)) for (const name of more) names.add(name);
  const mayMakeNamespaces = capabilities.includes('CAP_SYS_ADMIN');
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: [native],
    syscalls: [
      allow([...names].sort()),
      whenFirst('socket', profile.socketFamilies.below, 'SCMP_CMP_LT'),
      ...profile.socketFamilies.equal.map((family) => whenFirst('socket', family, 'SCMP_CMP_EQ')),
      ...profile.personalities.map((value) => whenFirst('personality', value, 'SCMP_CMP_EQ')),
      ...(mayMakeNamespaces
        ? [allow(['clone', 'clone3'])]
        : [
          // crun reads a masked comparison as: value = mask, valueTwo = what must remain.
          { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }] },
          // Its flags lie in memory, where a filter cannot look; libc falls back to clone on ENOSYS.
          { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
        ]),
    ],
  };
}
