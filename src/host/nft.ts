/** nftables through `nft -j` (libnftables-json(5)): rulesets are data, never text. */
import { BerthError } from '../model/errors.ts';
import { run } from './run.ts';

export type NftFamily = 'inet' | 'bridge' | 'ip' | 'ip6' | 'arp' | 'netdev';
/** One element of the `nftables` array: a command on the way in, an object on the way out. */
export type NftObject = Readonly<Record<string, unknown>>;

const MAX_LISTING_BYTES = 64 * 1024 * 1024;

/** The program is looked up by its absolute or plain name; `nft` by default. */
export class Nft {
  readonly #program: string;

  constructor(program = 'nft') {
    this.#program = program;
  }

  /** Applies all commands in one transaction: everything or nothing. */
  async apply(commands: readonly NftObject[]): Promise<void> {
    await this.#run(['-j', '-f', '-'], JSON.stringify({ nftables: commands }));
  }

  /** Parses and asks the kernel, changes nothing. Throws when it would not apply. */
  async check(commands: readonly NftObject[]): Promise<void> {
    await this.#run(['-c', '-j', '-f', '-'], JSON.stringify({ nftables: commands }));
  }

  /** A table with all that it holds; undefined when there is none. */
  async table(family: NftFamily, name: string): Promise<readonly NftObject[] | undefined> {
    const { code, stdout, stderr } = await run(this.#program, ['-j', 'list', 'table', family, name], { maxOutputBytes: MAX_LISTING_BYTES, allowFailure: true });
    if (code === 0) return objectsOf(stdout);
    if (stderr.includes('No such file or directory')) return undefined;
    throw new BerthError('internal', `nft could not list table ${family} ${name}: ${stderr.trim().slice(0, 500)}`);
  }

  async tables(): Promise<readonly { readonly family: string; readonly name: string }[]> {
    const { stdout } = await run(this.#program, ['-j', 'list', 'tables']);
    return objectsOf(stdout).flatMap((object) => (object['table'] === undefined ? [] : [object['table'] as { family: string; name: string }]));
  }

  /** All chains of the host, for who wants to know what else filters here. */
  async chains(): Promise<readonly NftObject[]> {
    const { stdout } = await run(this.#program, ['-j', 'list', 'chains'], { maxOutputBytes: MAX_LISTING_BYTES });
    return objectsOf(stdout).flatMap((object) => (object['chain'] === undefined ? [] : [object['chain'] as NftObject]));
  }

  async #run(args: readonly string[], input: string): Promise<void> {
    const { code, stderr } = await run(this.#program, args, { input, allowFailure: true });
    if (code !== 0) throw new BerthError('internal', `nft refused the rules: ${stderr.trim().slice(0, 2000)}`);
  }
}

function objectsOf(stdout: string): readonly NftObject[] {
  if (stdout.trim() === '') return [];
  return (JSON.parse(stdout) as { nftables: NftObject[] }).nftables.filter((object) => object['metainfo'] === undefined);
}
