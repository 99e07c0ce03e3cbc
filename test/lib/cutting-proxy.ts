/** Passes TCP connections on, and cuts those that carried so many bytes to the server, as often as it is told. */
import net, { type AddressInfo } from 'node:net';

export interface CuttingProxy extends AsyncDisposable {
  readonly host: string;
  cuts(): number;
}

export async function startCuttingProxy(target: string, { afterBytes, times }: { readonly afterBytes: number; readonly times: number }): Promise<CuttingProxy> {
  const [host, port] = target.split(':') as [string, string];
  const sockets = new Set<net.Socket>();
  let cuts = 0;
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(port), host);
    let bytes = 0;
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', end).on('close', () => { sockets.delete(socket); end(); });
    }
    client.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      upstream.write(chunk);
      if (bytes < afterBytes || cuts >= times) return;
      cuts++;
      upstream.end();
      client.resetAndDestroy();
    });
    upstream.on('data', (chunk: Buffer) => client.write(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`, cuts: () => cuts,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
