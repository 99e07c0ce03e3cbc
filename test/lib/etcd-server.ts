/** A real etcd on loopback with ports and a directory of its own, ended by its pid. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { until } from './until.ts';

export interface EtcdServer extends AsyncDisposable {
  readonly endpoint: string;
  /** Ends the process as a power cut would, and starts it again on the same data. */
  crashAndRestart(): Promise<void>;
}

export interface EtcdServerTls {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** Whether it answers; only a client with a certificate can tell. */
  readonly ready: (endpoint: string) => Promise<boolean>;
}

/** `below`: where its directory is made. */
export async function startEtcd({ tls, below = os.tmpdir() }: { tls?: EtcdServerTls; below?: string } = {}): Promise<EtcdServer> {
  const dir = fs.mkdtempSync(path.join(below, 'berth-etcd-'));
  const [clientPort, peerPort] = await freePorts(2);
  const endpoint = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const start = async (): Promise<ReturnType<typeof spawn>> => {
    const child = spawn('etcd', [
      '--data-dir', path.join(dir, 'data'), '--name', 'one', '--listen-client-urls', endpoint, '--advertise-client-urls', endpoint,
      '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`, '--log-level', 'error',
      '--logger', 'zap', '--heartbeat-interval', '50', '--election-timeout', '250',
      ...(tls === undefined ? [] : ['--cert-file', tls.certFile, '--key-file', tls.keyFile, '--trusted-ca-file', tls.caFile, '--client-cert-auth']),
    ], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr!.on('data', (chunk: Buffer) => { said = (said + chunk.toString()).slice(-4000); });
    await until(() => {
      if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}: ${said}`);
      return tls === undefined ? healthy(endpoint) : tls.ready(endpoint);
    }, { deadlineMs: 20_000, intervalMs: 50, what: 'an answer of etcd' });
    return child;
  };
  const end = async (child: ReturnType<typeof spawn>): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  };
  let child = await start().catch((error: unknown) => {
    fs.rmSync(dir, { recursive: true });
    throw error;
  });
  return {
    endpoint,
    async crashAndRestart() {
      await end(child);
      child = await start();
    },
    async [Symbol.asyncDispose]() {
      await end(child);
      fs.rmSync(dir, { recursive: true });
    },
  };
}

async function healthy(endpoint: string): Promise<boolean> {
  return fetch(`${endpoint}/health`, { headers: { connection: 'close' } }).then(async (response) => (await response.text()).includes('true'), () => false);
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise<net.Server>((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => resolve(server));
  })));
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
