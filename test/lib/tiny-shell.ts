/**
 * A shell for fake processes: the few words that the runtime suite speaks. Commands separated by ; or newlines, quotes,
 * $NAME, `while true; do … done`, `trap 'exit N' SIGNAL`, > and >&2.
 */
import type { FakeProgram } from '../../src/drivers/runtime/fake/programs.ts';
import type { FakeProcess } from '../../src/drivers/runtime/fake/fake-process.ts';

type Stream = 'stdout' | 'stderr';

interface Shell {
  readonly process: FakeProcess;
  readonly variables: Map<string, string>;
  readonly lines: () => Promise<string | undefined>;
}

/** Until the time is over, or the process. */
async function pause(process: FakeProcess, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([new Promise((resolve) => { timer = setTimeout(resolve, milliseconds); }), process.exited]);
  clearTimeout(timer);
}

/** Input by lines; what follows the last line that was read stays for `cat`. */
function lineReader(process: FakeProcess): { line(): Promise<string | undefined>; rest(): AsyncGenerator<string> } {
  const chunks = process.input[Symbol.asyncIterator]();
  let text = '';
  const more = async (): Promise<boolean> => {
    const next = await chunks.next();
    if (next.done === true) return false;
    text += new TextDecoder().decode(next.value);
    return true;
  };
  return {
    async line() {
      while (!text.includes('\n')) if (!await more()) return undefined;
      const at = text.indexOf('\n');
      const line = text.slice(0, at);
      text = text.slice(at + 1);
      return line;
    },
    async *rest() {
      do {
        const taken = text;
        text = '';
        if (taken !== '') yield taken;
      } while (await more());
    },
  };
}

/** Words with quotes taken off and variables put in. */
function words(command: string, shell: Shell): string[] {
  const found: string[] = [];
  for (const [word] of command.matchAll(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g)) {
    found.push(word.replaceAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|([^"']+)/g, (_, double: string | undefined, single: string | undefined, bare: string | undefined) =>
      single ?? (double ?? bare)!.replaceAll(/\$(\w+)/g, (__, name: string) => shell.variables.get(name) ?? '')));
  }
  return found;
}

/** At the top level only: not in quotes, not between do and done. */
function commandsOf(script: string): string[] {
  const commands: string[] = [];
  let current = '', depth = 0;
  for (const [token] of script.matchAll(/"(?:[^"\\]|\\.)*"|'[^']*'|\bdo\b|\bdone\b|[\s\S]/g)) {
    if (token === 'do') depth++;
    if (token === 'done') depth--;
    if ((token === ';' || token === '\n') && depth === 0 && !/^\s*while\b(?![^]*\bdone\b)/.test(current)) {
      commands.push(current);
      current = '';
    } else current += token;
  }
  return [...commands, current].map((one) => one.trim()).filter((one) => one !== '');
}

async function runScript(script: string, shell: Shell, reader: ReturnType<typeof lineReader>): Promise<void> {
  for (const command of commandsOf(script)) {
    if (shell.process.end !== undefined) return;
    await runCommand(command, shell, reader);
  }
}

async function runCommand(command: string, shell: Shell, reader: ReturnType<typeof lineReader>): Promise<void> {
  const { process, variables } = shell;
  const { place } = process;
  const loop = /^while (true|\[ \$i -lt \d+ \]); do (.*); done$/s.exec(command);
  if (loop !== null) {
    if (loop[1] !== 'true') return; // burns CPU time, which a fake has not
    while (process.end === undefined) await runScript(loop[2]!, shell, reader);
    return;
  }
  if (/^\w+=\$\(\(i\+1\)\)$/.test(command)) {
    variables.set('i', String(Number(variables.get('i') ?? 0) + 1));
    return;
  }
  const assignment = /^(\w+)=(\S*)$/.exec(command);
  if (assignment !== null) {
    variables.set(assignment[1]!, assignment[2]!);
    return;
  }
  let stream: Stream = 'stdout', file: string | undefined;
  const plain = command.replace(/\s*>&2$/, () => { stream = 'stderr'; return ''; }).replace(/\s*> (\/\S+)$/, (_, name: string) => { file = name; return ''; });
  const [name = '', ...args] = words(plain, shell);
  const say = async (text: string): Promise<void> => {
    if (file === undefined) await process.write(stream, text);
    else place.files.set(file, text);
  };
  switch (name) {
    case 'echo': return args[0] === '-n' ? say(args.slice(1).join(' ')) : say(`${args.join(' ')}\n`);
    case 'exit': return process.exit(Number(args[0]));
    case 'pwd': return say(`${place.cwd}\n`);
    case 'id': return say(`${args[0] === '-g' ? place.gid : place.uid}\n`);
    case 'hostname': return say(`${place.hostname}\n`);
    case 'ps': return say(`${place.commands().join('\n')}\n`);
    case 'sleep': return pause(process, Number(args[0]) * 1000);
    case 'seq': return say(Array.from({ length: Number(args[1]) }, (_, n) => `${n + Number(args[0])}\n`).join(''));
    case 'read': {
      const line = await reader.line();
      variables.set(args[0]!, line ?? '');
      return;
    }
    case 'trap': {
      const code = Number(/exit (\d+)/.exec(args[0]!)![1]);
      process.onSignal = (signal) => { if (signal === `SIG${args[1]}`) process.exit(code); };
      return;
    }
    case 'cat': {
      if (args[0] === undefined) for await (const text of reader.rest()) await say(text);
      else if (place.files.has(args[0])) await say(place.files.get(args[0])!);
      else await process.write('stderr', `cat: can't open '${args[0]}': No such file or directory\n`);
      return;
    }
    default: throw new TypeError(`the tiny shell does not know '${command}'`);
  }
}

async function runShell(process: FakeProcess, script: string, parameters: readonly string[]): Promise<void> {
  const reader = lineReader(process);
  const variables = new Map(process.env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
  parameters.forEach((value, number) => { variables.set(String(number), value); });
  await runScript(script, { process, variables, lines: () => reader.line() }, reader);
  process.exit(0);
}

export const SHELL_PROGRAMS: Readonly<Record<string, FakeProgram>> = {
  sh: (process, [, script = '', ...parameters]) => runShell(process, script, parameters),
  ps: (process) => runShell(process, 'ps', []),
};
