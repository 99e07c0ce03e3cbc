/** What is said where only an agent could help: VMs of disk images run without one. */
import { BerthError } from '../../model/errors.ts';

export function noAgent(name: string): BerthError {
  return new BerthError('unsupported', `${name} has no agent: it runs a disk image.`, {
    hint: 'What works: its console (`berth console`, with --screenshot its screen), power, limits, and its network, by DHCP.',
  });
}
