/** `berth login` and `logout`: who one is at a registry, kept where docker keeps it. */
import { BerthError } from '../../model/errors.ts';
import { printable } from '../../model/ids.ts';
import { DEFAULT_REGISTRY, isRegistryName } from '../../model/reference.ts';
import type { Command, Context } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { forgetCredentials, keepCredentials, readDockerConfig } from '../docker-config.ts';
import { INTERRUPTED_EXIT } from '../operation.ts';
import type { Words } from '../words.ts';

const MAX_PASSWORD_BYTES = 64 * 1024;

export const login: Command = {
  name: 'login',
  summary: 'Log in to a registry.',
  usage: '[HOST[:PORT]] -u USER [--password-stdin]',
  flags: [
    { name: 'username', short: 'u', value: 'USER', help: 'Name of the account.' },
    { name: 'password-stdin', help: 'Read the password from standard input.' },
  ],
  words: { min: 0, max: 1 },
  notes: ['The registry is asked first. What it takes is kept in ~/.docker/config.json (DOCKER_CONFIG), for you alone, or by the credential helper that stands there; docker and podman use the same.'],
  async run(context, words) {
    const registry = registryOf(words);
    const config = await readDockerConfig(context);
    const username = words.text('username') ?? (await ask(context, 'Username: ', true));
    const password = words.on('password-stdin') ? await passwordFromInput(context) : await ask(context, 'Password: ', false);
    if (username === '' || password === '') throw new BerthError('invalid', 'A login needs a name and a password.');
    const { identityToken } = await daemonClient(context).call('registry.login', { body: { registry, username, password } });
    const kept = await keepCredentials(config, registry, identityToken === undefined ? { username, password } : { username, identityToken });
    await context.tell(`Logged in to ${registry}; kept in ${kept}.`);
    return 0;
  },
};

export const logout: Command = {
  name: 'logout',
  summary: 'Forget who one is at a registry.',
  usage: '[HOST[:PORT]]',
  flags: [],
  words: { min: 0, max: 1 },
  async run(context, words) {
    const registry = registryOf(words);
    if (!(await forgetCredentials(await readDockerConfig(context), registry))) throw new BerthError('notFound', `You are not logged in to ${registry}.`);
    await context.tell(`Logged out of ${registry}.`);
    return 0;
  },
};

function registryOf(words: Words): string {
  const registry = words.words[0] ?? DEFAULT_REGISTRY;
  if (!isRegistryName(registry)) throw new BerthError('invalid', `'${printable(registry)}' is no registry.`, { hint: 'Write HOST or HOST:PORT, without https:// and without a path.' });
  return registry;
}

/** One line break at its end is the shell's. */
async function passwordFromInput({ stdio }: Context): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stdio.input()) {
    bytes += chunk.length;
    if (bytes > MAX_PASSWORD_BYTES) throw new BerthError('invalid', 'The password on standard input is too long.');
    chunks.push(chunk.slice());
  }
  return Buffer.concat(chunks).toString('utf8').replace(/\r?\n$/, '');
}

const ENTER = /[\r\n]/;
const CTRL_C = '\x03';
const CTRL_D = '\x04';

/** Typed on the terminal; a password is not shown. */
async function ask({ stdio }: Context, question: string, shown: boolean): Promise<string> {
  if (!(await stdio.isTerminal(0))) throw new BerthError('invalid', 'There is no terminal to ask for a name or a password.', { hint: 'berth login HOST -u USER --password-stdin < FILE' });
  await stdio.err(question);
  const restore = await stdio.raw();
  try {
    let text = '';
    for await (const chunk of stdio.input()) {
      for (const key of Buffer.from(chunk).toString('utf8')) {
        if (key === CTRL_C) {
          restore();
          process.exit(INTERRUPTED_EXIT);
        }
        if (ENTER.test(key) || key === CTRL_D) return text;
        if (key === '\x7f' || key === '\b') {
          if (shown && text !== '') await stdio.err('\b \b');
          text = text.slice(0, -1);
        } else if (key >= ' ') {
          text += key;
          if (shown) await stdio.err(key);
        }
      }
    }
    return text;
  } finally {
    restore();
    await stdio.err('\r\n');
  }
}
