import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { apportion, money, moneyText, share, times, total } from './money.ts';

test('amounts are exact where floating point is not', () => {
  assert.equal(money('0.1') + money('0.2'), money('0.3'));
  assert.equal(moneyText(total(Array.from({ length: 1000 }, () => money('0.001'))), 2), '1.00');
  assert.equal(moneyText(money('9999999999.999999'), 4), '10000000000.0000');
});

test('divisions round half up, once', () => {
  assert.equal(share(money('11900.00'), 1n, 48n), 247_916_667n);
  assert.equal(times(money('0.2871'), 0.34 * 730.5), 71_307_027n);
  assert.equal(moneyText(money('0.005'), 2), '0.01');
});

test('text has the digits of the currency', () => {
  assert.deepEqual([0, 2, 3].map((digits) => moneyText(money('1234.5'), digits)), ['1235', '1234.50', '1234.500']);
  assert.deepEqual([moneyText(-money('0.001'), 2), moneyText(-money('5'), 2)], ['0.00', '-5.00']);
});

test('parts add up to the whole, to the last millionth', () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n }), fc.array(fc.integer({ min: 0, max: 1e9 }), { minLength: 1, maxLength: 20 }), (amount, weights) => {
    const parts = apportion(amount, weights);
    assert.equal(total(parts), amount);
    assert.ok(parts.every((part) => part >= 0n));
  }));
  assert.deepEqual(apportion(10n, [1, 1, 1]), [3n, 3n, 4n]);
  assert.deepEqual(apportion(9n, [0, 0, 0]), [3n, 3n, 3n]);
});
