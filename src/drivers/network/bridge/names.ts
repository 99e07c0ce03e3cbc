/** What this root's things are called on the host. Every name carries the root's tag, so that roots live side by side. */
import { BerthError } from '../../../model/errors.ts';

const TAG = /^[0-9a-z]{6}$/;
const PORT_ID = /^[0-9a-z]{8}$/;

export interface HostNames {
  /** nft tables: one of family inet, one of family bridge. */
  readonly table: string;
  /** Wildcards for nft. */
  readonly anyPort: string;
  readonly anyBridge: string;
  port(portId: string): string;
  bridge(number: number): string;
  /** The id of one of our ports, by the name of an interface. */
  portIdOf(interfaceName: string): string | undefined;
  isBridge(interfaceName: string): boolean;
}

/** An interface name has 15 characters: one letter, the tag, and eight for the port. */
export function hostNames(rootTag: string): HostNames {
  if (!TAG.test(rootTag)) throw new BerthError('internal', 'A root tag has six characters of 0-9 and a-z.');
  const portName = new RegExp(`^v${rootTag}([0-9a-z]{8})$`);
  const bridgeName = new RegExp(`^b${rootTag}[0-9]{1,8}$`);
  return {
    table: `berth_${rootTag}`,
    anyPort: `v${rootTag}*`,
    anyBridge: `b${rootTag}*`,
    port(portId) {
      if (!PORT_ID.test(portId)) throw new BerthError('internal', 'A port id has eight characters of 0-9 and a-z.');
      return `v${rootTag}${portId}`;
    },
    bridge: (number) => `b${rootTag}${number}`,
    portIdOf: (interfaceName) => portName.exec(interfaceName)?.[1],
    isBridge: (interfaceName) => bridgeName.test(interfaceName),
  };
}
