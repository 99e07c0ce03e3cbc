/** What of cloud-init's user data Berth applies by itself. Apart from its schema, so that the command line can read it. */
export const USER_DATA_KEYS = ['hostname', 'users', 'ssh_authorized_keys', 'write_files', 'runcmd'] as const;
