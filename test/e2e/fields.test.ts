/**
 * Every field of an instance in every form (docs/reference/fields.md), looked at from inside; and where a form refuses a
 * field, that it does so with the reason of the model. The bodies are in test/lib/field-looks.ts.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client } from '../../src/client/client.ts';
import { frameJson, type ExitFrame } from '../../src/client/frame-stream.ts';
import { FRAME } from '../../src/lib/frames.ts';
import { FORM_LABEL, FORMS, type Form } from '../../src/model/forms.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { importFieldImages } from '../lib/field-images.ts';
import { FIELD_LOOKS, fields, isOs, isVm, lookOf, refusalOf, rowOf, subjectOf, subjectSpec, valueOf, type Seen, type Subject } from '../lib/field-looks.ts';
import { until } from '../lib/until.ts';

/** Emulated, on a machine that others keep busy. */
const CELL_TIMEOUT_MS = 240_000;
const ORDER = Object.keys(FIELD_LOOKS);

describe('fields of an instance, from inside', () => {
  let daemon: TestDaemon, client: Client;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    client = new Client({ host: `unix:${daemon.socketPath}` });
    await importFieldImages(daemon);
    await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'second' }, spec: {} });
  }, { timeout: 120_000 });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  async function inside(name: string, script: string): Promise<string> {
    const stream = await client.stream('instance.exec', { name }, { command: ['/bin/sh', '-c', script], user: '0' });
    let stdout = '', stderr = '';
    try {
      for await (const frame of stream.frames()) {
        if (frame.type === FRAME.stdout) stdout += Buffer.from(frame.payload).toString();
        else if (frame.type === FRAME.stderr) stderr += Buffer.from(frame.payload).toString();
        else if (frame.type === FRAME.exit) assert.equal((frameJson(frame) as ExitFrame).exitCode, 0, `${script}: ${stdout} ${stderr}`);
      }
    } finally {
      stream.close();
    }
    return stdout.trim();
  }

  const log = async (name: string): Promise<string> => (await berth(daemon, ['logs', name])).stdout.replaceAll('\r', '');

  function seen(form: Form, name: string): Seen {
    return {
      form, name, daemon,
      status: async () => (await daemon.instance(name)).status,
      inside: (script) => inside(name, script),
      log: () => log(name),
      said: (key) => until(async () => [...(await log(name)).matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].at(-1)?.[1], { deadlineMs: 30_000, what: `what it says of ${key}` }),
      change: async (spec) => { await daemon.ok('PATCH', `/v1/projects/default/instances/${name}`, { spec }); },
      async speak(text) {
        const stream = await client.stream('instance.attach', { name }, { stdin: true });
        await stream.input(Buffer.from(text));
        // What it answers goes to its log, too; the first of it shows that it took the words.
        for await (const frame of stream.frames()) if (frame.type === FRAME.stdout || frame.type === FRAME.exit) break;
        stream.close();
      },
    };
  }

  for (const form of FORMS) {
    describe(`${FORM_LABEL[form]}`, () => {
      const made = new Map<Subject, Promise<Seen>>();
      const subject = (which: Subject): Promise<Seen> => {
        const name = `${which}-${form.toLowerCase()}`;
        const there = made.get(which) ?? (async () => {
          await daemon.create(name, subjectSpec(which, form));
          if (isOs(form)) await until(async () => (await daemon.instance(name)).status.health === 'healthy', { deadlineMs: 120_000, what: `'${name}' up` });
          return seen(form, name);
        })();
        made.set(which, there);
        return there;
      };
      after(async () => {
        for (const which of made.keys()) await daemon.request('DELETE', `/v1/projects/default/instances/${which}-${form.toLowerCase()}?force=1&waitMs=60000`);
      });

      for (const field of fields().toSorted((a, b) => ORDER.indexOf(a.path) - ORDER.indexOf(b.path))) {
        const row = rowOf(field), reason = refusalOf(field, form);
        if (row === undefined) continue; // the rule asks for it
        if (reason !== undefined) {
          test(`${field.path} is refused: ${reason}`, async () => {
            const answer = await daemon.request('POST', '/v1/projects/default/instances?waitMs=60000', { meta: { name: 'refused' }, spec: { image: 'plain', isolation: isVm(form) ? 'vm' : 'container', mode: isOs(form) ? 'os' : 'app', [field.path]: valueOf(row, form) } });
            assert.deepEqual([answer.status, answer.body.code, answer.body.fields], [422, 'unsupported', [{ path: `spec.${field.path}`, message: reason }]], JSON.stringify(answer.body));
            assert.equal(await daemon.instance('refused'), undefined);
          });
          continue;
        }
        const see = lookOf(row, form);
        if (typeof see !== 'function') continue;
        test(field.path, { timeout: CELL_TIMEOUT_MS }, async () => { await see(await subject(subjectOf(row, form)), valueOf(row, form) as never); });
        if (row.next === undefined) continue;
        test(`${field.path}, changed while it runs`, { timeout: CELL_TIMEOUT_MS }, async () => {
          const one = await subject(subjectOf(row, form));
          const { startedAt } = await one.status();
          await one.change({ [field.path]: row.next });
          await see(one, row.next as never);
          assert.equal((await one.status()).startedAt, startedAt, 'without a restart');
        });
      }
    });
  }
});
