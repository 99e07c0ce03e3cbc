/** The rate of this host's time stamp counter: what an emulated guest, which sees the counter and cannot measure it, is told. */
import { BerthError } from '../model/errors.ts';
import { run } from './run.ts';

/** Takes 100 ms. */
export async function timeStampCounterKhz(nativeProgram: string): Promise<number> {
  const { stdout } = await run(nativeProgram, ['vm', 'tsc'], { timeoutMs: 5_000 });
  const khz = Number(stdout);
  if (!Number.isSafeInteger(khz) || khz < 100_000 || khz > 20_000_000) throw new BerthError('unsupported', `The processor's time stamp counter runs at an impossible rate (${stdout.trim().slice(0, 20)} kHz).`);
  return khz;
}
