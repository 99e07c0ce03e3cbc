/** docs/reference/cli.md: what the command line says of itself. It is asked as a program, because this room may not import it. */
import path from 'node:path';
import { run } from '../../host/run.ts';

const HOME = path.resolve(import.meta.dirname, '../../..');

export async function cliPage(): Promise<string> {
  const { stdout } = await run(process.execPath, [path.join(HOME, 'src/cli/main.ts'), 'help', '--markdown'], { timeoutMs: 30_000 });
  return stdout;
}
