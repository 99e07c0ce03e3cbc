/** The balloon of a machine: memory that its guest gives up and gets back while it runs. */
import { BerthError } from '../../../model/errors.ts';
import { qmpTalk } from './qmp.ts';

/** A guest that does not react within this has nobody who would. */
const FIRST_MS = 5_000;
/** A busy guest frees in pieces. */
const ALL_MS = 20_000;
const LOOK_AGAIN_MS = 50;
const PAGE_BYTES = 4096;

export interface BalloonMove {
  readonly qmpSocket: string;
  readonly fromBytes: number;
  readonly toBytes: number;
}

/** `nobody`: there is no balloon, or nobody moves it; `kept`: what is in use stays so. */
export type MovedBalloon = 'nobody' | 'kept';

/** `settled`: asked when the guest says that it is done; true when the host sees it, too. Other than `done`: it is as before. */
export async function moveBalloon({ qmpSocket, fromBytes, toBytes }: BalloonMove, settled: () => Promise<boolean>): Promise<MovedBalloon | 'done'> {
  return qmpTalk(qmpSocket, async (ask) => {
    const actual = async (): Promise<number> => (await ask('query-balloon') as { readonly actual: number }).actual;
    const before = await actual().catch((error: unknown) => {
      if (error instanceof BerthError && error.code === 'timeout') throw error;
    });
    if (before === undefined) return 'nobody';
    await ask('balloon', { value: toBytes });
    const begin = performance.now();
    for (let now = before; ; now = await actual()) {
      // Room that is given back is taken when it is needed: there is nothing to wait for.
      const said = toBytes > fromBytes ? now > before || now >= toBytes : now < toBytes + PAGE_BYTES;
      if (said && await settled()) return 'done';
      if (performance.now() - begin > (now === before ? FIRST_MS : ALL_MS)) {
        await ask('balloon', { value: before });
        return now === before && !said ? 'nobody' : 'kept';
      }
      await new Promise((resolve) => { setTimeout(resolve, LOOK_AGAIN_MS); });
    }
  });
}
