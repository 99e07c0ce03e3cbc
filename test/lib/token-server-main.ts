/** The token server as a program, for another network namespace: its options are the first line of its input, with which it ends; each request is a line that it writes. */
import { once } from 'node:events';
import readline from 'node:readline';
import { startTokenServer, type TokenServerOptions } from './token-server.ts';

const lines = readline.createInterface({ input: process.stdin });
const [first] = (await once(lines, 'line')) as [string];
const server = await startTokenServer(JSON.parse(first) as TokenServerOptions);
process.stdout.write(`${JSON.stringify({ host: server.host })}\n`);
const { push } = server.asked;
server.asked.push = (...asked) => {
  for (const one of asked) process.stdout.write(`${JSON.stringify(one)}\n`);
  return push.apply(server.asked, asked);
};
await once(lines, 'close');
await server[Symbol.asyncDispose]();
