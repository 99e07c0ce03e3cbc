/** Compiles the programs of native/ with the distribution's compiler; a build of the same sources is kept. */
import path from 'node:path';
import { run } from '../host/run.ts';
import { BerthError } from '../model/errors.ts';

/** Half a minute; an emulated machine takes ten times that. */
const COMPILE_TIMEOUT_MS = 1_200_000;

/** @throws BerthError `unavailable` with the compiler's own words. */
export async function buildNative(home: string): Promise<void> {
  const answer = await run('sh', [path.join(home, 'native/build.sh'), path.join(home, '.build/native')], { allowFailure: true, timeoutMs: COMPILE_TIMEOUT_MS, cwd: home });
  if (answer.code !== 0) {
    throw new BerthError('unavailable', `The native programs do not compile:\n${(answer.stderr || answer.stdout).trim().slice(-4000)}`, {
      hint: 'They need gcc, libc6-dev, zlib1g-dev and libzstd-dev; `berth up` installs them.',
    });
  }
}
