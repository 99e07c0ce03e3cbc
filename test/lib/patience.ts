/**
 * How many times longer than on a host of its own everything may take: whoever runs tests where the processor is emulated
 * says so once, in the environment.
 */
export const PATIENCE_VARIABLE = 'BERTH_TEST_PATIENCE';

export const PATIENCE = Number(process.env[PATIENCE_VARIABLE] ?? 1);

/** A deadline that was set for a real processor, in milliseconds, for the one that there is. */
export const patient = (deadlineMs: number): number => deadlineMs * PATIENCE;
