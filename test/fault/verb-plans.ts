/** What each long verb needs, what sets it off, and how it is repeated: for the tests that disturb it at each step. */
import assert from 'node:assert/strict';
import type { Answer, TestDaemon } from '../lib/daemon.ts';
import { startDockerRegistry, type DockerRegistry } from '../lib/docker-registry.ts';
import { until } from '../lib/until.ts';

export interface StepRow {
  readonly verb: string;
  readonly step: string;
  readonly undo: boolean;
}

export interface VerbPlan {
  prepare(daemon: TestDaemon): Promise<void>;
  act(daemon: TestDaemon): Promise<Answer>;
  /** From whatever named state is there to where the verb leads. */
  retry(daemon: TestDaemon): Promise<void>;
  /** It answers with the error itself, and one that failed has changed nothing. */
  readonly quick?: true;
  /** The object that the verb is about; undefined when it is absent. */
  find(daemon: TestDaemon): Promise<any>; // eslint-disable-line -- tests look into objects of every kind
}

/** A name for each state that an object may be left in; the states on the way are none of them. */
export const NAMED: ReadonlySet<string> = new Set(['stopped', 'running', 'paused', 'backoff', 'failed', 'unsupervised', 'ready']);

const I = '/v1/projects/default/instances';
const CONTAINER = { command: ['sleep', '1000'], stopSignal: 'SIGKILL', ports: [{ hostPort: 18_080, targetPort: 80 }], volumes: [{ volume: 'data', target: '/data', readOnly: false }] };
/** busybox brings an init. */
const SYSTEM = { mode: 'os', stopSignal: 'SIGKILL', ports: [{ hostPort: 18_080, targetPort: 80 }], volumes: [{ volume: 'data', target: '/data', readOnly: false }] };
const MICROVM = { isolation: 'vm', command: ['sleep', '1000'], stopSignal: 'SIGKILL', ports: [{ hostPort: 18_080, targetPort: 80 }], volumes: [{ volume: 'data', target: '/data', readOnly: false }] };
const WAIT = 'waitMs=120000';

async function object(daemon: TestDaemon, url: string): Promise<unknown> {
  const answer = await daemon.request('GET', url);
  return answer.status === 404 ? undefined : answer.body;
}

function instanceVerbs(spec: Readonly<Record<string, unknown>>): Record<string, VerbPlan> {
  const find = (daemon: TestDaemon) => daemon.instance('subject');
  return {
    'instance.create': {
      find,
      async prepare() { /* nothing is needed */ },
      act: (daemon) => daemon.request('POST', `${I}?${WAIT}`, { meta: { name: 'subject' }, spec: { image: 'busybox', running: true, ...spec } }),
      async retry(daemon) {
        if ((await find(daemon)) === undefined) await daemon.create('subject', spec);
        await settle(daemon, 'subject', true);
      },
    },
    'instance.start': {
      find,
      prepare: (daemon) => daemon.create('subject', { ...spec, running: false }),
      act: (daemon) => daemon.request('POST', `${I}/subject/start?${WAIT}`),
      retry: (daemon) => settle(daemon, 'subject', true),
    },
    'instance.stop': {
      find,
      prepare: (daemon) => daemon.create('subject', spec),
      act: (daemon) => daemon.request('POST', `${I}/subject/stop?${WAIT}`),
      retry: (daemon) => settle(daemon, 'subject', false),
    },
    'instance.update': {
      find, quick: true,
      prepare: (daemon) => daemon.create('subject', spec),
      act: (daemon) => daemon.request('PATCH', `${I}/subject`, { spec: { cpus: 0.5, cpuWeight: 50 } }),
      async retry(daemon) {
        await daemon.ok('PATCH', `${I}/subject`, { spec: { cpus: 0.5, cpuWeight: 50 } });
        const { spec: { cpus }, status: { state } } = await daemon.instance('subject');
        assert.deepEqual([cpus, state], [0.5, 'running']);
      },
    },
    'instance.delete': {
      find,
      prepare: (daemon) => daemon.create('subject', spec),
      act: (daemon) => daemon.request('DELETE', `${I}/subject?force=1&${WAIT}`),
      async retry(daemon) {
        if ((await find(daemon)) !== undefined) await daemon.ok('DELETE', `${I}/subject?force=1&${WAIT}`);
        assert.equal(await find(daemon), undefined);
      },
    },
  };
}

function simpleVerbs(kind: 'network' | 'volume', name: string): Record<string, VerbPlan> {
  const all = `/v1/projects/default/${kind}s`;
  const find = (daemon: TestDaemon) => object(daemon, `${all}/${name}`) as Promise<{ status: { state: string } } | undefined>;
  const make = (daemon: TestDaemon) => daemon.ok('POST', `${all}?${WAIT}`, { meta: { name } });
  return {
    [`${kind}.create`]: {
      find,
      async prepare() { /* nothing is needed */ },
      act: (daemon) => daemon.request('POST', `${all}?${WAIT}`, { meta: { name } }),
      async retry(daemon) {
        if ((await find(daemon)) === undefined) await make(daemon);
        assert.equal((await find(daemon))?.status.state, 'ready');
      },
    },
    [`${kind}.delete`]: {
      find,
      prepare: make,
      act: (daemon) => daemon.request('DELETE', `${all}/${name}?${WAIT}`),
      async retry(daemon) {
        if ((await find(daemon)) !== undefined) await daemon.ok('DELETE', `${all}/${name}?${WAIT}`);
        assert.equal(await find(daemon), undefined);
      },
    },
  };
}

/** A registry has to listen there, in the daemon's network namespace: {@link harnessRegistry}. */
const REGISTRY = '127.0.0.1:5000';

export function harnessRegistry(daemon: TestDaemon): Promise<DockerRegistry> {
  return startDockerRegistry({ enter: daemon.enter, below: daemon.base, port: Number(REGISTRY.split(':')[1]) });
}

function registryVerbs(): Record<string, VerbPlan> {
  const images = '/v1/projects/default/images/-';
  const there = `${REGISTRY}/harness/there:1`;
  const push = (destination: string) => ({ reference: 'busybox', destination });
  const plan = (verb: 'pull' | 'push' | 'copy', body: Readonly<Record<string, unknown>>): VerbPlan => ({
    // An image is there or not: it has no states on the way.
    find: async () => undefined,
    async prepare(daemon) { await daemon.ok('POST', `${images}/push?${WAIT}`, push(there)); },
    act: (daemon) => daemon.request('POST', `${images}/${verb}?${WAIT}`, body),
    async retry(daemon) {
      const operation = await daemon.ok('POST', `${images}/${verb}?${WAIT}`, body);
      assert.match(operation.status.result.digest, /^sha256:/);
      assert.equal((await daemon.ok('POST', `${images}/pull?${WAIT}`, { reference: String(body['destination'] ?? there) })).status.result.digest, operation.status.result.digest);
    },
  });
  return {
    'image.pull': plan('pull', { reference: there }),
    'image.push': plan('push', push(`${REGISTRY}/harness/pushed:1`)),
    'image.copy': plan('copy', { source: there, destination: `${REGISTRY}/harness/copied:1` }),
  };
}

export const CONTAINER_VERBS: Readonly<Record<string, VerbPlan>> = instanceVerbs(CONTAINER);
export const SYSTEM_VERBS: Readonly<Record<string, VerbPlan>> = instanceVerbs(SYSTEM);
export const MICROVM_VERBS: Readonly<Record<string, VerbPlan>> = instanceVerbs(MICROVM);
export const OTHER_VERBS: Readonly<Record<string, VerbPlan>> = { ...simpleVerbs('network', 'net'), ...simpleVerbs('volume', 'vol'), ...registryVerbs() };

/** A named state, and from there the wished one. */
async function settle(daemon: TestDaemon, name: string, running: boolean): Promise<void> {
  const found = await until(async () => { const one = await daemon.instance(name); return one !== undefined && NAMED.has(one.status.state) ? one : undefined; }, { what: `a named state of '${name}'` });
  if (running && found.status.state !== 'running') await daemon.ok('POST', `${I}/${name}/start?${WAIT}`);
  if (!running && found.status.state !== 'stopped') await daemon.ok('POST', `${I}/${name}/stop?${WAIT}`);
  assert.equal((await daemon.instance(name))?.status.state, running ? 'running' : 'stopped');
}

/** Takes away what the plans make. */
export async function cleanUp(daemon: TestDaemon): Promise<void> {
  await daemon.request('DELETE', `${I}/subject?force=1&${WAIT}`);
  for (const name of ['there', 'pushed', 'copied']) await daemon.request('DELETE', `/v1/projects/default/images/-/delete?reference=${encodeURIComponent(`${REGISTRY}/harness/${name}:1`)}`);
  for (const url of ['volumes/data', 'volumes/vol', 'networks/net']) await daemon.request('DELETE', `/v1/projects/default/${url}?${WAIT}`);
}
