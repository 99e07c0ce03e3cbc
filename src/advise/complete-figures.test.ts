import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Figures } from '../model/figures.ts';
import { adviseFiles } from './advise-files.ts';
import { completeFigures } from './complete-figures.ts';
import { SHIPPED_FIGURES } from './shipped-figures.ts';

const OWN: Figures = {
  host: 'mine', shipped: false, hardwareVirtualization: false,
  forms: { osContainer: { startWarmMs: { value: 1000, n: 3, date: '2026-11-21', source: 'test', transferable: true } } },
};

test('what was measured stands, what was not comes from the shipped ones', () => {
  const complete = completeFigures(OWN);
  assert.equal(complete.forms.osContainer, OWN.forms.osContainer);
  assert.equal(complete.forms.vm, SHIPPED_FIGURES.forms.vm);
  assert.equal(completeFigures(SHIPPED_FIGURES), SHIPPED_FIGURES);
});

test('a form that nobody measured does not win by having no figures, and none of it is called measured', () => {
  const text = 'kind: Workload\nmeta: { name: x }\nspec: { inside: { needsInit: true, applications: 2 }, os: { family: linux }, lifecycle: { startMs: 1500 } }\n';
  const { document } = adviseFiles({ files: [{ name: 'x.yaml', text }], figures: OWN });
  assert.equal(document.workloads[0]!.form, 'os-container');
  assert.equal(document.figures.host, 'mine');
  assert.ok(document.density.classes.every((one) => one.forms.every(({ form }) => form === 'os-container')));
});
