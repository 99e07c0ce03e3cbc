/** A token server for registries (Docker's token authentication): accounts, scopes, short-lived ES256 tokens. */
import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TokenServer extends AsyncDisposable {
  /** HOST:PORT */
  readonly host: string;
  readonly realm: string;
  /** Each request: its scopes and whether it came with a login. */
  readonly asked: { readonly scopes: readonly string[]; readonly account: string | undefined }[];
}

export interface TokenServerOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly issuer: string;
  readonly service: string;
  readonly accounts: Readonly<Record<string, string>>;
  /** What it gives for an identity token that it gave. */
  readonly identityToken?: string;
  /** A free one when missing. */
  readonly port?: number;
}

export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const key = createPrivateKey(fs.readFileSync(options.keyFile));
  const chain = [new X509Certificate(fs.readFileSync(options.certFile)).raw.toString('base64')];
  const asked: TokenServer['asked'] = [];

  function token(account: string | undefined, scopes: readonly string[]): string {
    const now = Math.floor(Date.now() / 1000);
    // Who logged in may do everything; anybody may read what is below public/.
    const access = scopes.flatMap((scope) => {
      const [type, name, actions] = [scope.slice(0, scope.indexOf(':')), scope.slice(scope.indexOf(':') + 1, scope.lastIndexOf(':')), scope.slice(scope.lastIndexOf(':') + 1)];
      const allowed = actions.split(',').filter((action) => account !== undefined || (action === 'pull' && name.startsWith('public/')));
      return allowed.length === 0 ? [] : [{ type, name, actions: allowed }];
    });
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ typ: 'JWT', alg: 'ES256', x5c: chain })}.${part({ iss: options.issuer, sub: account ?? '', aud: options.service, exp: now + 300, nbf: now - 10, iat: now, jti: randomUUID(), access })}`;
    return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  }

  const server = http.createServer((request, response) => {
    const url = new URL(request.url!, 'http://token');
    const login = /^Basic (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const [account, ...password] = login === undefined ? [] : Buffer.from(login, 'base64').toString().split(':');
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const form = new URLSearchParams(Buffer.concat(chunks).toString());
      const isRefresh = request.method === 'POST' && form.get('grant_type') === 'refresh_token';
      const scopes = isRefresh ? (form.get('scope') ?? '').split(' ').filter((one) => one !== '') : url.searchParams.getAll('scope');
      const rightRefresh = isRefresh && options.identityToken !== undefined && form.get('refresh_token') === options.identityToken;
      const wrong = isRefresh ? !rightRefresh : account !== undefined && options.accounts[account] !== password.join(':');
      asked.push({ scopes, account });
      if (wrong) {
        response.writeHead(401).end();
        return;
      }
      const who = isRefresh ? Object.keys(options.accounts)[0] : account;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({
        token: token(who, scopes), expires_in: 300,
        ...(account !== undefined && url.searchParams.get('offline_token') === 'true' && options.identityToken !== undefined ? { refresh_token: options.identityToken } : {}),
      }));
    });
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host, realm: `http://${host}/token`, asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
