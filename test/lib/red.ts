/** A guard is proved by taking it away: the case that it holds must then fail. */
import assert from 'node:assert/strict';

/** Runs a case that has one guard less, and fails when the case does not notice. */
export async function goesRed(work: () => Promise<void>): Promise<void> {
  let noticed: unknown;
  try {
    await work();
  } catch (error) {
    noticed = error;
  }
  assert.ok(noticed !== undefined, 'the case passed though its guard was taken away');
  assert.ok(noticed instanceof assert.AssertionError, `the case failed for another reason: ${noticed instanceof Error ? noticed.stack : String(noticed)}`);
}
