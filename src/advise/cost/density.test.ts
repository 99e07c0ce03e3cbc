import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHIPPED_FIGURES } from '../shipped-figures.ts';
import { densityOf } from './density.ts';

const MIB = 1024 * 1024;
const measured = (value: number) => ({ value, n: 3, date: '2026-07-01', source: 'test', transferable: true });

test('density is what the figures say', () => {
  const { classes, measured: own } = densityOf({ host: 'mine', shipped: false, hardwareVirtualization: true, forms: { appContainer: { memoryOverheadBytes: measured(0) }, vm: { memoryOverheadBytes: measured(192 * MIB) } } });
  assert.equal(own, true);
  assert.deepEqual(classes[0], {
    name: 'small', applicationMemoryBytes: 64 * MIB,
    forms: [{ form: 'app-container', instances: 1024, timesVms: 4, sentence: 'measured on this host: 4.0 ×' }, { form: 'vm', instances: 256, timesVms: 1, sentence: 'measured on this host: 1.0 ×' }],
  });
});

test('shipped figures are marked as such wherever they speak', () => {
  for (const { forms } of densityOf(SHIPPED_FIGURES).classes) for (const { sentence } of forms) assert.match(sentence, /^shipped with Berth, measured on another host: \d+\.\d ×$/);
});

test('without a measured VM, the microVM is what the others are held against', () => {
  const { comparedTo, classes } = densityOf({ host: 'mine', shipped: false, hardwareVirtualization: false, forms: { appContainer: { memoryOverheadBytes: measured(0) }, microVM: { memoryOverheadBytes: measured(64 * MIB) } } });
  assert.equal(comparedTo, 'microVMs');
  assert.deepEqual(classes[0]!.forms.map((one) => [one.form, one.timesVms, one.sentence]), [['app-container', 2, 'measured on this host: 2.0 × beside microVMs'], ['microvm', 1, 'measured on this host: 1.0 × beside microVMs']]);
});

test('what nobody measured is not claimed', () => {
  assert.deepEqual(densityOf({ ...SHIPPED_FIGURES, forms: {} }).classes.map(({ forms }) => forms), [[], [], []]);
});
