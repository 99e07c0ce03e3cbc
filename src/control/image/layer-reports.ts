/** How far layers are, gathered, so that whoever follows an operation is told a few times a second and not for each. */
import type { LayerProgress } from '../../model/layer-progress.ts';
import type { Clock } from '../clock.ts';
import type { Progress } from '../journal.ts';

const EVERY_MS = 200;
/** All layers are told of one after the other when it begins: together that is the first news. */
const FIRST_MS = 5;

export interface LayerReports extends Disposable {
  readonly onLayer: (layer: LayerProgress) => void;
}

export function layerReports(clock: Clock, what: string, progress: ((progress: Progress) => void) | undefined): LayerReports {
  const layers = new Map<string, LayerProgress>();
  let cancel: (() => void) | undefined;
  let delayMs = FIRST_MS;
  const tell = (): void => {
    cancel = undefined;
    const all = [...layers.values()];
    progress?.({ done: all.reduce((sum, one) => sum + one.bytes, 0), total: all.reduce((sum, one) => sum + one.totalBytes, 0), unit: 'bytes', what, layers: all });
  };
  return {
    onLayer(layer) {
      layers.set(layer.digest, { digest: layer.digest, state: layer.state, bytes: layer.bytes, totalBytes: layer.totalBytes });
      cancel ??= clock.after(delayMs, tell);
      delayMs = EVERY_MS;
    },
    [Symbol.dispose]() {
      if (cancel === undefined) return;
      cancel();
      tell();
    },
  };
}
