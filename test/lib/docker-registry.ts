/** Debian's docker-registry on loopback with a port and a directory of its own, ended by its pid. */
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { until } from './until.ts';

export interface DockerRegistry extends AsyncDisposable {
  /** HOST:PORT, as references have it. */
  readonly host: string;
  /** Its process, to be stopped and let go on. */
  readonly pid: number;
  /** What it said. */
  log(): string;
}

export interface DockerRegistryOptions {
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** Lines of USER:BCRYPT. */
  readonly htpasswd?: string;
  readonly token?: { readonly realm: string; readonly service: string; readonly issuer: string; readonly certFile: string };
  readonly below?: string;
  readonly hostname?: string;
  /** argv prefix that runs it in another network namespace, where `port` is free. */
  readonly enter?: readonly string[];
  readonly port?: number;
}

/** `tester` with the password `s3cret:word`. */
export const ACCOUNT = { username: 'tester', password: 's3cret:word', line: 'tester:$2y$04$IEvfppDd5rIlvxbl74POq.Uyy1.I3YqfUjOCIxYGIom/3GdqY9cXm' } as const;

export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const dir = fs.mkdtempSync(path.join(options.below ?? os.tmpdir(), 'berth-registry-'));
  const port = options.port ?? await freePort();
  const hostname = options.hostname ?? '127.0.0.1';
  if (options.htpasswd !== undefined) fs.writeFileSync(path.join(dir, 'htpasswd'), `${options.htpasswd}\n`);
  const config = {
    version: 0.1, log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: path.join(dir, 'data') }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, secret: 'of-a-test', ...(options.tls === undefined ? {} : { tls: { certificate: options.tls.certFile, key: options.tls.keyFile } }) },
    ...(options.htpasswd === undefined ? {} : { auth: { htpasswd: { realm: 'test', path: path.join(dir, 'htpasswd') } } }),
    ...(options.token === undefined ? {} : { auth: { token: { realm: options.token.realm, service: options.token.service, issuer: options.token.issuer, rootcertbundle: options.token.certFile } } }),
  };
  const configFile = path.join(dir, 'config.yml'); // JSON is YAML
  fs.writeFileSync(configFile, JSON.stringify(config));
  const [program, ...words] = [...(options.enter ?? []), 'docker-registry', 'serve', configFile];
  const child = spawn(program!, words, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { said = (said + chunk.toString()).slice(-20_000); });
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    fs.rmSync(dir, { recursive: true, force: true });
  };
  try {
    await until(() => {
      if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}: ${said}`);
      return options.enter === undefined ? answers(port) : answersInside(options.enter, port);
    }, { deadlineMs: 20_000, intervalMs: 30, what: 'docker-registry listening' });
  } catch (error) {
    await end();
    throw error;
  }
  return { host: `${hostname}:${port}`, pid: child.pid!, log: () => said, [Symbol.asyncDispose]: end };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

function answersInside([program, ...words]: readonly string[], port: number): boolean {
  return spawnSync(program!, [...words, 'bash', '-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`], { stdio: 'ignore', timeout: 5000 }).status === 0;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
