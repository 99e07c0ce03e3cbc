/** The distribution's Chromium without a window, driven over a pipe (DevTools protocol): no port, no library, nothing left behind. */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';

type Json = Record<string, unknown>;
interface Waiting {
  readonly resolve: (result: Json) => void;
  readonly reject: (error: Error) => void;
}

const ANSWER_MS = 60_000;
const CLOSE_MS = 15_000;

export class Browser {
  readonly #child: ChildProcess;
  readonly #home: string;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(method: string, params: Json) => void>();
  #next = 1;
  #rest = '';

  constructor() {
    this.#home = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-browser-'));
    this.#child = spawn('/usr/bin/chromium', [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions', '--disable-background-networking', '--disable-component-update', '--hide-scrollbars',
      '--force-color-profile=srgb', '--remote-debugging-pipe', `--user-data-dir=${this.#home}`, 'about:blank',
    ], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true, env: { PATH: '/usr/bin:/bin', HOME: this.#home, TMPDIR: this.#home } });
    (this.#child.stdio[4] as Readable).setEncoding('utf8').on('data', (part: string) => { this.#read(part); });
    this.#child.once('close', () => { this.#fail(new Error('the browser ended')); });
    this.#child.once('error', (error) => { this.#fail(error); });
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #read(part: string): void {
    const messages = (this.#rest + part).split('\0');
    this.#rest = messages.pop()!;
    for (const text of messages) {
      const message = JSON.parse(text) as { id?: number; result?: Json; error?: { message: string }; method?: string; params?: Json };
      if (message.method !== undefined) for (const listener of this.#listeners) listener(message.method, message.params ?? {});
      const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
      if (waiting === undefined) continue;
      this.#waiting.delete(message.id!);
      if (message.error === undefined) waiting.resolve(message.result ?? {});
      else waiting.reject(new Error(message.error.message));
    }
  }

  send(method: string, params: Json = {}, sessionId?: string): Promise<Json> {
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    const timer = setTimeout(() => { reject(new Error(`${method} got no answer within ${ANSWER_MS} ms`)); }, ANSWER_MS);
    this.#waiting.set(id, { resolve, reject });
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`);
    return promise.finally(() => { clearTimeout(timer); });
  }

  on(listener: (method: string, params: Json) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }

  /** Opens a file in a page of its own and waits until it is loaded. */
  async open(file: string, { width = 1280, height = 900, scripts = true }: { readonly width?: number; readonly height?: number; readonly scripts?: boolean } = {}): Promise<Page> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId as string);
    for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await page.send(`${domain}.enable`);
    await page.resize(width, height);
    if (!scripts) await page.send('Emulation.setScriptExecutionDisabled', { value: true });
    const { promise, resolve } = Promise.withResolvers<void>();
    using _loaded = this.on((method) => { if (method === 'Page.loadEventFired') resolve(); });
    await page.send('Page.navigate', { url: `file://${file}` });
    await promise;
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise<void>((resolve) => { this.#child.once('close', () => { resolve(); }); });
      // Asked to close, it takes its helpers along.
      this.send('Browser.close').catch(() => undefined);
      const impatient = setTimeout(() => { process.kill(-this.#child.pid!, 'SIGKILL'); }, CLOSE_MS);
      await ended;
      clearTimeout(impatient);
    }
    fs.rmSync(this.#home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

export class Page {
  readonly #browser: Browser;
  readonly #session: string;
  /** Addresses that the page asked for, its own first. */
  readonly requests: string[] = [];
  /** Those of them that the page's policy stopped. */
  readonly stopped: string[] = [];
  /** What the console and the policy of the page complained about. */
  readonly complaints: string[] = [];

  constructor(browser: Browser, session: string) {
    this.#browser = browser;
    this.#session = session;
    const addresses = new Map<unknown, string>();
    browser.on((method, params) => {
      if (method === 'Network.requestWillBeSent') {
        const { url } = params['request'] as { url: string };
        addresses.set(params['requestId'], url);
        this.requests.push(url);
      }
      if (method === 'Network.loadingFailed' && params['blockedReason'] === 'csp') this.stopped.push(addresses.get(params['requestId']) ?? 'unknown');
      if (method === 'Log.entryAdded') this.complaints.push((params['entry'] as { text: string }).text);
      if (method === 'Runtime.exceptionThrown' || method === 'Runtime.consoleAPICalled' || method === 'Page.javascriptDialogOpening') this.complaints.push(JSON.stringify(params));
    });
  }

  send(method: string, params: Json = {}): Promise<Json> {
    return this.#browser.send(method, params, this.#session);
  }

  async resize(width: number, height: number): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  }

  /** The value of an expression in the page; promises are waited for. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }

  async pdf(): Promise<Buffer> {
    const { data } = await this.send('Page.printToPDF', { preferCSSPageSize: true, printBackground: false });
    return Buffer.from(data as string, 'base64');
  }

  async picture(clip?: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, ...(clip === undefined ? {} : { clip: { ...clip, scale: 1 } }) });
    return Buffer.from(data as string, 'base64');
  }
}
