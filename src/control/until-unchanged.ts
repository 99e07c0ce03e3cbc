/** Work that is decided on what others may write at the same moment: who comes second looks again. */
import { BerthError } from '../model/errors.ts';

const TRIES = 3;

/** Once more, from its beginning, when the commit found that something had changed since it was read. */
export async function untilUnchanged<T>(begin: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await begin();
    } catch (error) {
      if (!(error instanceof BerthError) || error.code !== 'changed' || attempt === TRIES) throw error;
    }
  }
}
