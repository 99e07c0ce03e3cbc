import { patient } from './patience.ts';

/** Waits for a condition by asking again, with a deadline; the only kind of waiting that tests do. */
export async function until<T>(
  condition: () => T | Promise<T>,
  { deadlineMs = 10_000, intervalMs = 20, what = 'the condition' }: { deadlineMs?: number; intervalMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const end = performance.now() + patient(deadlineMs);
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`${what} did not come true within ${patient(deadlineMs)} ms`);
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}
