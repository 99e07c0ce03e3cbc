/** STOPSIGNAL as images write it: SIGTERM, TERM, 15, SIGRTMIN+3. */
import os from 'node:os';

const RTMIN = 34;
const RTMAX = 64;

/** The full name; undefined when there is no such signal. */
export function signalName(text: string): string | undefined {
  const names = os.constants.signals as Readonly<Record<string, number>>;
  if (/^[0-9]{1,2}$/.test(text)) {
    const number = Number(text);
    if (number >= RTMIN && number <= RTMAX) return number === RTMIN ? 'SIGRTMIN' : `SIGRTMIN+${number - RTMIN}`;
    return Object.keys(names).find((name) => names[name] === number);
  }
  const name = text.startsWith('SIG') ? text : `SIG${text}`;
  if (Object.hasOwn(names, name)) return name;
  const realTime = /^SIGRT(MIN|MAX)(?:([+-])([0-9]{1,2}))?$/.exec(name);
  if (realTime === null) return undefined;
  const offset = Number(realTime[3] ?? 0) * (realTime[2] === '-' ? -1 : 1);
  const number = (realTime[1] === 'MIN' ? RTMIN : RTMAX) + offset;
  return number >= RTMIN && number <= RTMAX ? name : undefined;
}
