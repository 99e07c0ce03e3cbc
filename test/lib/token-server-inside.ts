/** A token server in the network namespace of a daemon, ended by the end of its input. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import type { TokenServer, TokenServerOptions } from './token-server.ts';

/** `enter`: argv prefix that runs a program there. Its password goes through a pipe: tests look at command lines. */
export async function startTokenServerInside(enter: readonly string[], options: TokenServerOptions): Promise<TokenServer> {
  const [program, ...words] = [...enter, process.execPath, path.join(import.meta.dirname, 'token-server-main.ts')];
  const child = spawn(program!, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin.write(`${JSON.stringify(options)}\n`);
  const lines = readline.createInterface({ input: child.stdout });
  const asked: TokenServer['asked'] = [];
  const { host } = await new Promise<{ readonly host: string }>((resolve, reject) => {
    lines.once('line', (line) => {
      resolve(JSON.parse(line) as { host: string });
      lines.on('line', (one) => asked.push(JSON.parse(one) as TokenServer['asked'][number]));
    });
    child.once('exit', (code) => reject(new Error(`the token server ended with ${code}`)));
  });
  return {
    host, realm: `http://${host}/token`, asked,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await gone;
    },
  };
}
