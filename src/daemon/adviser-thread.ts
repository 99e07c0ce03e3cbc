/** What runs on the adviser's thread: one request in, one answer out. */
import { parentPort, workerData } from 'node:worker_threads';
import { adviceText } from '../advise/advice-text.ts';
import { adviseFiles } from '../advise/advise-files.ts';
import { weightsFrom } from '../advise/weights.ts';
import type { AdviseRequest } from '../model/advise-request.ts';
import { asBerthError, errorBody } from '../model/errors.ts';
import type { AdviserAnswer } from './adviser.ts';

function answerOf({ files, weights, figures, prices, hardwareVirtualization, explain, format }: AdviseRequest): AdviserAnswer {
  try {
    const advised = adviseFiles({ files, weights: weights === undefined ? undefined : weightsFrom(weights), figures, prices, host: { hardwareVirtualization }, explain });
    return adviceText(advised, format);
  } catch (error) {
    return { error: errorBody(asBerthError(error, 'weigh the estate')) };
  }
}

parentPort!.postMessage(answerOf(workerData as AdviseRequest));
