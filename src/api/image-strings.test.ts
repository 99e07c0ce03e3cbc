/** A16: what an image says of itself is shown, and never becomes anything but its process, its user and its directory. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeApi } from '../../test/lib/fake-api.ts';
import { Life } from '../../test/lib/mortal.ts';
import { goesRed } from '../../test/lib/red.ts';

const LABELS = {
  'run.oci.hooks.stdout': '/etc/cron.d/x', 'run.oci.seccomp_bpf_data': 'AAAA', 'run.oci.handler': 'krun', 'org.criu.config': '/x', 'module.wasm.image/variant': 'compat',
  'io.kubernetes.cri.container-type': 'cri-sandbox', 'berth.privileged': 'yes', maintainer: 'mallory\nrun.oci.handler=krun',
};

/** The plan that a unit of such an image is made by. */
async function planOf(config: object): Promise<string> {
  const life = new Life();
  let plan = '';
  life.before = ({ on, method, args }) => { if (on === 'container' && method === 'create') plan = JSON.stringify(args[0]); };
  await using api = await FakeApi.open({ life });
  const imported = await api.request('POST', '/v1/projects/default/images/-/import', JSON.stringify({ images: [{ names: ['evil:1'], config }] }), { 'content-type': 'application/octet-stream' });
  assert.ok(imported.status < 300, imported.text);
  const made = await api.request('POST', '/v1/projects/default/instances?waitMs=60000', { meta: { name: 'web' }, spec: { image: 'evil:1', running: true } });
  assert.equal(made.body.status.state, 'succeeded', made.text);
  return plan;
}

function assertOnlyItsProcess(plan: string): void {
  const { process, ...rest } = JSON.parse(plan) as { process: { env: string[] } };
  for (const [name, value] of Object.entries(LABELS)) for (const word of [name, value]) {
    if (word.length > 4) assert.ok(!JSON.stringify(rest).includes(JSON.stringify(word).slice(1, -1)), `${word} in the plan`);
  }
  assert.ok(!JSON.stringify(process).includes('cron.d'));
}

describe('A16: labels of an image', () => {
  it('reach no plan', async () => { assertOnlyItsProcess(await planOf({ command: ['sleep'], labels: LABELS })); });

  it('goes red with a plan that has them', async () => {
    const plan = JSON.parse(await planOf({ command: ['sleep'], labels: LABELS })) as object;
    await goesRed(async () => { assertOnlyItsProcess(JSON.stringify({ ...plan, annotations: LABELS })); });
  });

  it('a variable of the environment with such a name is a variable', async () => {
    const plan = JSON.parse(await planOf({ command: ['sleep'], labels: {}, env: ['run.oci.handler=krun', 'A=1'] })) as { process: { env: string[] } };
    assert.ok(plan.process.env.includes('run.oci.handler=krun'));
    assertOnlyItsProcess(JSON.stringify(plan));
  });
});
