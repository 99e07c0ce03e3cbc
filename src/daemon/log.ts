/** The daemon's own log: JSON lines on stderr, whoever started it keeps them. */
import { pino } from 'pino';
import type { Logger } from '../control/services.ts';

export function makeLog(): Logger {
  return pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, level: process.env['BERTH_LOG_LEVEL'] ?? 'info' }, pino.destination({ fd: 2, sync: true }));
}
