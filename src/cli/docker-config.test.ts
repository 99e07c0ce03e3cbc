import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { credentialsOf, forgetCredentials, hasCredentials, keepCredentials, readDockerConfig } from './docker-config.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-docker-config-'));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const HUB = ['https://index', 'docker', 'io/v1/'].join('.');
const env = { DOCKER_CONFIG: path.join(dir, 'docker') };
const file = path.join(env.DOCKER_CONFIG, 'config.json');
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const read = () => readDockerConfig({ env });

function write(document: unknown): void {
  fs.mkdirSync(env.DOCKER_CONFIG, { recursive: true });
  fs.writeFileSync(file, typeof document === 'string' ? document : JSON.stringify(document), { mode: 0o600 });
}

async function found(auths: Readonly<Record<string, unknown>>, registry: string): Promise<unknown> {
  write({ auths });
  return credentialsOf(await read(), registry);
}

describe('docker’s config.json', () => {
  it('need not be there', async () => {
    const config = await readDockerConfig({ env: { HOME: path.join(dir, 'nowhere') } });
    assert.deepEqual([hasCredentials(config), await credentialsOf(config, 'a.example')], [false, undefined]);
    assert.equal(hasCredentials(await readDockerConfig({ env: {} })), false);
  });

  it('has entries of several spellings', async () => {
    const me = { username: 'me', password: 'pass:word' };
    const auth = base64('me:pass:word');
    for (const key of ['a.example', 'https://a.example', 'http://a.example/v1/', 'a.example/v2/']) assert.deepEqual(await found({ [key]: { auth } }, 'a.example'), me, key);
    assert.deepEqual(await found({ [HUB]: { auth } }, 'docker.io'), me);
    assert.deepEqual(await found({ 'docker.io': { auth } }, 'docker.io'), me);
    assert.deepEqual(await found({ 'a.example:5000': { auth } }, 'a.example'), undefined, 'another port is another registry');
    assert.deepEqual(await found({ 'a.example.evil': { auth }, 'b.example/a.example': { auth } }, 'a.example'), undefined);
    assert.deepEqual(await found({ 'a.example': { username: 'me', password: 'pass:word' } }, 'a.example'), me);
    assert.deepEqual(await found({ 'a.example': { auth: `${base64('me:pass:word\0\0')}` } }, 'a.example'), me);
    assert.deepEqual(await found({ 'https://a.example/v1/': { auth: base64('old:old') }, 'a.example': { auth } }, 'a.example'), me, 'the exact name first');
  });

  it('has tokens', async () => {
    assert.deepEqual(await found({ 'a.example': { auth: base64('me:'), identitytoken: 'refresh' } }, 'a.example'), { username: 'me', identityToken: 'refresh' });
    assert.deepEqual(await found({ 'a.example': { registrytoken: 'bearer' } }, 'a.example'), { registryToken: 'bearer' });
  });

  it('may hold nothing that helps', async () => {
    for (const entry of [{}, { auth: '' }, { auth: base64('no colon') }, { auth: 5 }, 'text', null, { username: 'me' }]) assert.equal(await found({ 'a.example': entry }, 'a.example'), undefined, JSON.stringify(entry));
  });

  it('is refused when it is broken, without a word of what is in it', async () => {
    for (const text of ['{"auths": {"a.example": {"auth": "c2VjcmV0"', '[]', '"secret"', '']) {
      write(text);
      await assert.rejects(read(), (error: Error & { code: string }) => error.code === 'invalid' && !/secret|c2Vj/.test(`${error.message}${String(error.cause)}`));
    }
  });

  it('says whether others may read it', async () => {
    write({});
    assert.equal((await read()).open, false);
    fs.chmodSync(file, 0o644);
    assert.equal((await read()).open, true);
  });

  it('is written whole, for its owner alone, and keeps what it does not know', async () => {
    fs.rmSync(env.DOCKER_CONFIG, { recursive: true });
    assert.equal(await keepCredentials(await read(), 'a.example:5000', { username: 'me', password: 'secret' }), file);
    assert.deepEqual([fs.statSync(file).mode & 0o777, fs.statSync(env.DOCKER_CONFIG).mode & 0o777], [0o600, 0o700]);
    write({ auths: { 'https://a.example:5000/v1/': { auth: base64('old:old') }, 'b.example': { auth: base64('b:b') } }, plugins: { x: 1 } });
    fs.chmodSync(file, 0o666);
    await keepCredentials(await read(), 'a.example:5000', { username: 'me', identityToken: 'refresh' });
    assert.deepEqual(JSON.parse(fs.readFileSync(file, 'utf8')), { auths: { 'b.example': { auth: base64('b:b') }, 'a.example:5000': { auth: base64('me:'), identitytoken: 'refresh' } }, plugins: { x: 1 } });
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    await keepCredentials(await read(), 'docker.io', { username: 'hub', password: 'x' });
    assert.ok(Object.hasOwn((JSON.parse(fs.readFileSync(file, 'utf8')) as { auths: object }).auths, HUB));
    assert.equal(await forgetCredentials(await read(), 'docker.io'), true);
    assert.equal(await forgetCredentials(await read(), 'docker.io'), false);
    assert.deepEqual(fs.readdirSync(env.DOCKER_CONFIG), ['config.json']);
  });

  it('may be a link, which stays one', async () => {
    const target = path.join(dir, 'elsewhere.json');
    fs.writeFileSync(target, '{}', { mode: 0o600 });
    fs.rmSync(file);
    fs.symlinkSync(target, file);
    await keepCredentials(await read(), 'a.example', { username: 'me', password: 'secret' });
    assert.ok(fs.lstatSync(file).isSymbolicLink() && fs.readFileSync(target, 'utf8').includes('a.example'));
    fs.rmSync(file);
  });
});
