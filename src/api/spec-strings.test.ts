/**
 * A17, E14: every text field of an instance × everything that means something to somebody. Either it is refused with the
 * field's path, or it arrives in the plan of the unit as it was, in its own place and nowhere else.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { FakeApi, type ApiAnswer } from '../../test/lib/fake-api.ts';
import { Life } from '../../test/lib/mortal.ts';

const MARK = 'Mrk7';
const HOSTILE = [
  '\n', '\r', '\0', '\x1b', '\x7f', '\u0085', '\u2028', '%0a', '%00', '${HOME}', '$(id)', '`id`', '"', "'", ';', '|', '&', '..', '/', '../../etc/passwd', ' ', '\t', '\\', '=', ',', ':',
  '-x', '--foo', '--rsyncable', '-', '--', ',readonly=off', 'format=raw,file=/etc/shadow', 'fat:rw:/', '../', '@', '#', '*', '?', '<', '>', '[', '{', '}', '\ud800', '\u202e', '‥', 'é', '💥', '%', '%n', 'null', 'true', '__proto__', 'constructor',
] as const;

interface Field {
  readonly path: string;
  /** The spec with the text in this field. */
  readonly spec: (text: string) => Record<string, unknown>;
  readonly meta?: (text: string) => Record<string, unknown>;
  /** Where the plan must have it; undefined when it is not for the runtime. */
  readonly arrives?: (plan: Plan, text: string) => unknown;
}

// What the runtime was told, as data of any shape.
type Plan = any; // eslint-disable-line

const FIELDS: readonly Field[] = [
  { path: 'meta.name', spec: () => ({}), meta: (text) => ({ name: text }), arrives: (plan, text) => plan.name === text },
  { path: 'meta.owner', spec: () => ({}), meta: (text) => ({ owner: text }) },
  { path: 'meta.purpose', spec: () => ({}), meta: (text) => ({ purpose: text }) },
  { path: 'meta.labels (value)', spec: () => ({}), meta: (text) => ({ labels: { tier: text } }) },
  { path: 'meta.labels (name)', spec: () => ({}), meta: (text) => ({ labels: { [text]: 'x' } }) },
  { path: 'spec.image', spec: (text) => ({ image: text }) },
  { path: 'spec.firmware', spec: (text) => ({ firmware: text }) },
  { path: 'spec.machinePreset', spec: (text) => ({ machinePreset: text }) },
  { path: 'spec.iso', spec: (text) => ({ iso: [text] }) },
  { path: 'spec.kernel', spec: (text) => ({ kernel: text }) },
  { path: 'spec.root', spec: (text) => ({ root: text }) },
  { path: 'spec.command', spec: (text) => ({ command: ['sleep', text] }), arrives: (plan, text) => plan.process.args.length === 2 && plan.process.args[1] === text },
  { path: 'spec.command (first)', spec: (text) => ({ command: [text, 'x'] }), arrives: (plan, text) => plan.process.args.length === 2 && plan.process.args[0] === text },
  { path: 'spec.entrypoint', spec: (text) => ({ entrypoint: ['sleep', text], command: ['end'] }), arrives: (plan, text) => plan.process.args.join('\u0001') === `sleep\u0001${text}\u0001end` },
  { path: 'spec.env (value)', spec: (text) => ({ env: { A: text } }), arrives: (plan, text) => plan.process.env.filter((line: string) => line === `A=${text}`).length === 1 && plan.process.env.length === 4 },
  { path: 'spec.env (name)', spec: (text) => ({ env: { [text]: 'x' } }), arrives: (plan, text) => plan.process.env.includes(`${text}=x`) },
  { path: 'spec.workdir', spec: (text) => ({ workdir: text }), arrives: (plan, text) => plan.process.cwd === text },
  { path: 'spec.user', spec: (text) => ({ user: text }) },
  { path: 'spec.hostname', spec: (text) => ({ hostname: text }), arrives: (plan, text) => plan.hostname === text && plan.process.env.includes(`HOSTNAME=${text}`) },
  { path: 'spec.stopSignal', spec: (text) => ({ stopSignal: text }), arrives: (plan, text) => plan.stopSignal === text },
  { path: 'spec.isolation', spec: (text) => ({ isolation: text }) },
  { path: 'spec.mode', spec: (text) => ({ mode: text }) },
  { path: 'spec.tmpfs.target', spec: (text) => ({ tmpfs: [{ target: text, sizeBytes: 4096 }] }), arrives: (plan, text) => plan.tmpfs.length === 1 && plan.tmpfs[0].target === text },
  { path: 'spec.volumes.volume', spec: (text) => ({ volumes: [{ volume: text, target: '/data' }] }), arrives: (plan) => plan.mounts.length === 1 && /^\/fake\/pool\/volumes\/[a-z0-9]{12}\/data$/.test(plan.mounts[0].source) },
  { path: 'spec.volumes.hostPath', spec: (text) => ({ volumes: [{ hostPath: text, target: '/data' }] }), arrives: (plan, text) => plan.mounts.length === 1 && plan.mounts[0].source === text },
  { path: 'spec.volumes.target', spec: (text) => ({ volumes: [{ volume: 'data', target: text }] }), arrives: (plan, text) => plan.mounts.length === 1 && plan.mounts[0].target === text },
  { path: 'spec.networks.name', spec: (text) => ({ networks: [{ name: text }] }) },
  { path: 'spec.networks.ipv4', spec: (text) => ({ networks: [{ name: 'default', ipv4: text }] }) },
  { path: 'spec.networks.ipv6', spec: (text) => ({ networks: [{ name: 'default', ipv6: text }] }) },
  { path: 'spec.ports.hostAddress', spec: (text) => ({ ports: [{ targetPort: 80, hostAddress: text }] }) },
  { path: 'spec.ports.protocol', spec: (text) => ({ ports: [{ targetPort: 80, protocol: text }] }) },
  { path: 'spec.capabilities.add', spec: (text) => ({ capabilities: { add: [text] } }), arrives: (plan, text) => plan.capabilities.includes(text) || plan.capabilities.includes(`CAP_${text}`) },
  { path: 'spec.capabilities.drop', spec: (text) => ({ capabilities: { drop: [text] } }) },
  { path: 'spec.restart.policy', spec: (text) => ({ restart: { policy: text } }) },
  { path: 'spec.ulimits', spec: (text) => ({ ulimits: { [text]: { soft: 1, hard: 1 } } }) },
];

let api: FakeApi;
let count = 0;
/** The plan of a unit that was asked for nothing special: what a text may not change beside its own field. */
let plain: Plan;
let lastPlan: Plan;

before(async () => {
  const life = new Life();
  life.before = ({ on, method, args }) => { if (on === 'container' && method === 'create') lastPlan = structuredClone({ ...(args[0] as object) }); };
  api = await FakeApi.open({ life });
  plain = (await attempt({ path: '', spec: () => ({}) }, 'x')).plan;
});
after(() => api[Symbol.asyncDispose]());

interface Attempt {
  readonly answer: ApiAnswer;
  readonly plan: Plan | undefined;
}

async function attempt(field: Field, text: string): Promise<Attempt> {
  const name = `i${++count}`;
  const meta = field.meta?.(text) ?? {};
  const answer = await api.request('POST', '/v1/projects/default/instances?waitMs=60000', { meta: { name, ...meta }, spec: { image: 'busybox', running: true, command: ['sleep'], ...field.spec(text) } });
  if (answer.status !== 200 || answer.body.status.state !== 'succeeded') return { answer, plan: undefined };
  const { id } = answer.body.status.result as { id: string };
  const made = [...api.world.services.registry.list('Instance')].find((one) => one.meta.id === id)!;
  const plan = lastPlan;
  assert.equal(plan.id, id);
  const deleted = await api.request('DELETE', `/v1/projects/default/instances/${made.meta.name}?force=1&waitMs=60000`);
  assert.equal(deleted.body.status.state, 'succeeded', deleted.text);
  return { answer, plan };
}

/** Every text of the plan, by its place. */
function texts(value: unknown, path = ''): Map<string, string> {
  const found = new Map<string, string>();
  if (typeof value === 'string') found.set(path, value);
  else if (value !== null && typeof value === 'object') for (const [key, inner] of Object.entries(value)) {
    for (const [place, text] of texts(inner, `${path}.${key}`)) found.set(place, text);
    if (key.includes(MARK)) found.set(`${path}.{key}`, key);
  }
  return found;
}

async function check(field: Field, text: string): Promise<'refused' | 'arrived'> {
  const { answer, plan } = await attempt(field, text);
  const shown = `${field.path} = ${JSON.stringify(text)}: ${answer.status} ${answer.text.slice(0, 300)}`;
  assert.ok(answer.status < 500, shown);
  if (plan === undefined) {
    const code = answer.status === 200 ? answer.body.status.error.code : answer.body.code;
    assert.ok(['invalid', 'notFound', 'unsupported', 'forbidden', 'alreadyExists'].includes(code), shown);
    return 'refused';
  }
  if (field.arrives !== undefined) assert.ok(field.arrives(plan, text), `${shown}\n${JSON.stringify(plan.process)}`);
  if (text.includes(MARK)) {
    const places = [...texts(plan)].filter(([, value]) => value.includes(MARK)).map(([place]) => place.split('.')[1]);
    const allowed = field.arrives === undefined ? [] : ownPlaces(field);
    assert.deepEqual([...new Set(places)].filter((place) => !allowed.includes(place!)), [], shown);
  }
  // Beside the field itself nothing changed: no more arguments, mounts, interfaces or rights than the plain one has.
  if (!ownPlaces(field).includes('mounts')) assert.deepEqual(plan.mounts, plain.mounts, shown);
  if (!field.path.startsWith('spec.capabilities')) assert.deepEqual(plan.capabilities, plain.capabilities, shown);
  assert.deepEqual([plan.noNewPrivileges, plan.sysctls, plan.root.readOnly, Object.keys(plan).toSorted()], [true, {}, false, Object.keys(plain).toSorted()], shown);
  assert.equal(plan.network.interfaces.length, 1, shown);
  return 'arrived';
}

function ownPlaces({ path }: Field): string[] {
  if (path === 'meta.name') return ['name', 'hostname', 'process'];
  if (path === 'spec.hostname') return ['hostname', 'process'];
  if (path.startsWith('spec.volumes')) return ['mounts'];
  if (path.startsWith('spec.tmpfs')) return ['tmpfs'];
  if (path === 'spec.stopSignal') return ['stopSignal'];
  if (path.startsWith('spec.capabilities')) return ['capabilities'];
  return ['process'];
}

describe('text in an instance’s spec', () => {
  it('every text field of the model is in this test', async () => {
    const { createInstanceBody } = await import('../model/routes.ts');
    const { toJSONSchema } = await import('zod');
    const found: string[] = [];
    const walk = (schema: any, path: string): void => { // eslint-disable-line -- JSON Schema of any shape
      if (schema.type === 'string') found.push(path);
      if (schema.items !== undefined) walk(schema.items, path);
      if (typeof schema.additionalProperties === 'object') walk(schema.additionalProperties, path);
      for (const [name, inner] of Object.entries(schema.properties ?? {})) walk(inner, path === '' ? name : `${path}.${name}`);
      for (const inner of schema.anyOf ?? []) walk(inner, path);
    };
    walk(toJSONSchema(createInstanceBody, { unrepresentable: 'any', io: 'input' }), '');
    const covered = (path: string) => ['apiVersion', 'kind', 'meta.project'].includes(path) || /^spec\.(userData|cloudInit)/.test(path) /* of systems alone: model/user-data.test.ts */ || FIELDS.some((field) => field.path === path || field.path.startsWith(`${path} (`) || field.path.startsWith(`${path}.`));
    assert.ok(found.length > 20);
    assert.deepEqual(found.filter((path) => !covered(path)), []);
  });

  for (const field of FIELDS) {
    it(`${field.path}: arrives as data or is refused`, async () => {
      const seen = new Set<string>();
      const prefix = field.path.endsWith('workdir') || field.path.includes('target') || field.path.includes('hostPath') ? '/' : '';
      for (const hostile of HOSTILE) for (const text of [hostile, `${prefix}${MARK}${hostile}${MARK}`]) seen.add(await check(field, text));
      assert.ok(seen.size > 0);
    });
  }

  it('any text at all, in any field', async () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 40 }), fc.array(fc.constantFrom(...HOSTILE, MARK, 'a', '/'), { maxLength: 6 }).map((parts) => parts.join('')));
    await fc.assert(fc.asyncProperty(fc.constantFrom(...FIELDS), text, async (field, value) => { await check(field, value); }), { numRuns: 200, seed: 20260301 });
  });

  it('control characters are refused wherever they could reach a line of something', async () => {
    for (const field of FIELDS.filter(({ path }) => !['spec.command', 'spec.command (first)', 'spec.entrypoint', 'spec.env (value)'].includes(path))) {
      for (const control of ['\n', '\r', '\0', '\x1b', '\x7f', '\u0085', '\u2028']) {
        for (const text of [control, `a${control}`, `/a${control}b`]) assert.equal(await check(field, text), 'refused', `${field.path} = ${JSON.stringify(text)}`);
      }
    }
    for (const path of ['spec.command', 'spec.entrypoint', 'spec.env (value)']) assert.equal(await check(FIELDS.find((field) => field.path === path)!, 'a\0b'), 'refused');
    for (const path of ['spec.command', 'spec.entrypoint', 'spec.env (value)']) assert.equal(await check(FIELDS.find((field) => field.path === path)!, 'line\nline\x1b[0m'), 'arrived');
  });
});
