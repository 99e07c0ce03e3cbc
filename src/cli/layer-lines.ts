/** How far each layer is, for people: a line for each that changes in place on a terminal, a line for each change off it. */
import { formatBytes } from '../lib/bytes.ts';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import { truncate } from '../lib/text-table.ts';
import type { LayerProgress } from '../model/layer-progress.ts';

const BAR_CELLS = 20;
const ID = 12;
/** So that the block never scrolls: what is over is left out first. */
const KEPT_ROWS = 3;

function shortDigest(digest: string): string {
  return terminalSafeLine(digest.replace(/^sha256:/, '').slice(0, ID));
}

/** `12.3/40.1MiB`. */
function amount({ bytes, totalBytes }: LayerProgress): string {
  const total = formatBytes(totalBytes);
  const unit = total.replace(/^[\d.]+/, '');
  const power = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'].indexOf(unit);
  const done = bytes / 1024 ** Math.max(0, power);
  return `${power <= 0 ? Math.round(done) : done.toFixed(1)}/${total}`;
}

function layerText(layer: LayerProgress): string {
  if (layer.state === 'moving') {
    const filled = layer.totalBytes === 0 ? BAR_CELLS : Math.min(BAR_CELLS, Math.round((layer.bytes / layer.totalBytes) * BAR_CELLS));
    return `${shortDigest(layer.digest)}  ${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${amount(layer)}`;
  }
  const size = layer.state === 'done' || layer.state === 'present' || layer.state === 'waiting' ? ` ${formatBytes(layer.totalBytes)}` : '';
  return `${shortDigest(layer.digest)}  ${WORDS[layer.state]}${size}`;
}

const WORDS: Readonly<Record<LayerProgress['state'], string>> = { waiting: 'waiting', moving: 'moving', verifying: 'verifying', unpacking: 'unpacking', done: 'done', present: 'already there' };
const isOver = (layer: LayerProgress): boolean => layer.state === 'done' || layer.state === 'present';

/** The lines of a block that is drawn again and again. */
export function layerBlock(title: string, layers: readonly LayerProgress[], size: { readonly rows: number; readonly columns: number }): readonly string[] {
  const room = Math.max(1, size.rows - KEPT_ROWS);
  let shown = layers;
  let rest = 0;
  if (layers.length > room) {
    const open = layers.filter((layer) => !isOver(layer));
    shown = open.slice(0, room - 1);
    rest = layers.length - shown.length;
  }
  const over = layers.filter(isOver).length;
  return [`${title}  ${over} of ${layers.length} layers`, ...shown.map((layer) => `  ${layerText(layer)}`), ...(rest === 0 ? [] : [`  and ${rest} more`])].map((line) => truncate(line, size.columns - 1));
}

/** Lines for a log: one for each layer and state, none for every few bytes. */
export function layerChanges(told: Map<string, LayerProgress['state']>, layers: readonly LayerProgress[]): readonly string[] {
  return layers.filter(({ digest, state }) => told.get(digest) !== state).map((layer) => {
    told.set(layer.digest, layer.state);
    return `${shortDigest(layer.digest)}: ${WORDS[layer.state]}${layer.state === 'verifying' || layer.state === 'unpacking' ? '' : ` ${formatBytes(layer.totalBytes)}`}`;
  });
}
