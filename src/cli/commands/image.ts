/** The verbs that only images have. */
import { formatBytes } from '../../lib/bytes.ts';
import { textTable } from '../../lib/text-table.ts';
import { BerthError } from '../../model/errors.ts';
import { shortReference } from '../../model/reference.ts';
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { eachName } from '../each-name.ts';
import { inputBytes } from '../input-file.ts';
import { choice, environmentPairs, refuse } from '../instance-values.ts';
import { longVerb, NO_WAIT } from '../operation.ts';
import { writeAnswer } from '../output-file.ts';
import { formatOf, OUTPUT, terminalWidth, writeList, yamlText } from '../output.ts';
import { withProgress } from '../upload-progress.ts';
import { VIEWS } from '../views.ts';
import { imageList, imagePrune } from './image-disk.ts';
import { copy, pullCommand, pushCommand } from './registry.ts';
import type { Words } from '../words.ts';

export function imageCommand(verb: string): Command | undefined {
  if (verb === 'pull') return pullCommand('image pull');
  if (verb === 'push') return pushCommand('image push');
  return { list: imageList, copy, prune: imagePrune, bootstrap, import: importCommand, export: exportCommand, tag, history, delete: deleteCommand }[verb];
}

/** Words of a shell-like line, without a shell: quotes keep words together. */
function commandWords(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)].map(([, double, single, bare]) => double?.replace(/\\(.)/g, '$1') ?? single ?? bare!);
}

const bootstrap: Command = {
  name: 'image bootstrap',
  summary: 'Make a base image on this host: busybox, debian:bookworm, debian:trixie.',
  usage: '[flags] busybox|debian:bookworm|debian:trixie',
  flags: [
    { name: 'include', value: 'PACKAGE,…', repeat: true, help: 'Packages to put in.' },
    { name: 'as', value: 'REF', help: 'Name of the image.' },
    { name: 'env', short: 'e', value: 'NAME=VALUE', repeat: true, help: 'Environment that the image asks for.' },
    { name: 'user', short: 'u', value: 'USER[:GROUP]', help: 'User that the image asks for.' },
    { name: 'workdir', short: 'w', value: 'DIR', help: 'Where its process starts.' },
    { name: 'entrypoint', value: 'WORDS', help: 'Entrypoint of the image; quotes keep words together.' },
    { name: 'cmd', value: 'WORDS', help: 'Command of the image; quotes keep words together.', also: ['command'] },
    NO_WAIT,
  ],
  words: { min: 1, max: 1 },
  async run(context, words) {
    const operation = await longVerb(context, daemonClient(context), 'image.bootstrap', { body: bootstrapBody(words) }, words);
    if (operation !== undefined) await context.stdio.out(`${shortReference(String(operation.status.result?.['reference'] ?? words.words[0]))}\n`);
    return 0;
  },
};

function bootstrapBody(words: Words): Readonly<Record<string, unknown>> {
  const include = words.all('include').flatMap((one) => one.split(',')).map((one) => one.trim()).filter((one) => one !== '');
  const given = (flag: string, field: string, value: (text: string) => unknown): Record<string, unknown> => (words.text(flag) === undefined ? {} : { [field]: value(words.text(flag)!) });
  const same = (text: string): string => text;
  return {
    name: words.words[0],
    ...(include.length === 0 ? {} : { include }),
    ...(words.given('env') ? { env: environmentPairs('env', words.all('env'), {}) } : {}),
    ...given('as', 'as', same), ...given('user', 'user', same), ...given('workdir', 'workdir', same),
    ...given('entrypoint', 'entrypoint', commandWords), ...given('cmd', 'command', commandWords),
  };
}

const DISKS = ['raw', 'qcow2', 'iso'] as const;

const importCommand: Command = {
  name: 'image import',
  summary: 'Take in an archive (OCI layout, docker-archive or a root file system as tar, also compressed), or with --disk a disk for VMs.',
  usage: '[--as REF] [--disk raw|qcow2|iso] FILE|-',
  flags: [
    { name: 'as', value: 'REF', help: 'Name of the image; the archive’s own when missing.' },
    { name: 'disk', value: DISKS.join('|'), help: 'The file is a bootable disk of this format, or a CD. It is never guessed.' },
  ],
  words: { min: 1, max: 1 },
  async run(context, words) {
    const file = words.words[0]!;
    const disk = words.text('disk') === undefined ? undefined : choice('disk', words.text('disk')!, DISKS);
    if (disk !== undefined && words.text('as') === undefined) throw new BerthError('invalid', 'A disk has no name of its own.', { hint: 'Give it one: --as NAME' });
    if (file === '-' && (await context.stdio.isTerminal(0))) throw new BerthError('invalid', 'An archive is expected on standard input, which is a terminal.');
    const as = words.text('as');
    const { images } = await daemonClient(context).upload('image.import', { query: { as, disk } }, withProgress(inputBytes(file, context.stdio), 'image import', context));
    for (const image of images) await context.stdio.out(`${as !== undefined && images.length === 1 ? as : image.reference === undefined ? image.id : shortReference(image.reference)}\n`);
    return 0;
  },
};

const ARCHIVES = ['oci-archive', 'docker-archive', 'rootfs', 'raw'];

const exportCommand: Command = {
  name: 'image export',
  summary: 'Write an image as an archive, or a disk image as it is.',
  usage: '[--format oci-archive|docker-archive|rootfs|raw] REF FILE|-',
  flags: [{ name: 'format', value: ARCHIVES.join('|'), help: 'Kind of archive; oci-archive when missing, raw for disks.' }],
  words: { min: 2, max: 2 },
  async run(context, words) {
    const [reference, file] = words.words as [string, string];
    const format = words.text('format');
    if (format !== undefined && !ARCHIVES.includes(format)) refuse('format', format, 'there is no such archive', `There are ${ARCHIVES.join(', ')}.`);
    await writeAnswer(context, file, 'An archive', () => daemonClient(context).open('image.export', { query: { reference, format } }));
    return 0;
  },
};

const tag: Command = {
  name: 'image tag',
  summary: 'Give an image another name.',
  usage: 'REF NEW',
  flags: [],
  words: { min: 2, max: 2 },
  async run(context, words) {
    const [reference, newReference] = words.words as [string, string];
    await daemonClient(context).call('image.tag', { body: { reference, newReference } });
    await context.stdio.out(`${newReference}\n`);
    return 0;
  },
};

const deleteCommand: Command = {
  name: 'image delete',
  summary: 'Take a name away; the last one takes the image.',
  usage: '[--force] REF…',
  flags: [{ name: 'force', help: 'Also when it has other names.' }],
  words: { min: 1 },
  async run(context, words) {
    const client = daemonClient(context);
    return eachName(context, words.words, async (reference) => {
      await client.call('image.delete', { query: { reference, ...(words.on('force') ? { force: 1 } : {}) } });
      await context.stdio.out(`${reference}\n`);
    });
  },
};

const history: Command = {
  name: 'image history',
  summary: 'Show the layers of an image, the newest first.',
  usage: 'REF [-o table|json|yaml]',
  flags: [OUTPUT],
  words: { min: 1, max: 1 },
  async run(context, words) {
    const format = formatOf(words);
    const image = await daemonClient(context).call('image.get', { query: { reference: words.words[0]! } });
    const layers = image.status.layers.toReversed();
    if (format === 'json') await context.stdio.out(`${JSON.stringify(layers, undefined, 2)}\n`);
    else if (format === 'yaml') await context.stdio.out(await yamlText(layers));
    else if (format === 'name') await writeList(context, [image], VIEWS['Image']!, format);
    else {
      const width = format === 'wide' ? undefined : await terminalWidth(context);
      await context.stdio.out(textTable([{ title: 'DIGEST' }, { title: 'SIZE', align: 'right' }, { title: 'TYPE' }], layers.map((layer) => [layer.digest, formatBytes(layer.bytes), layer.mediaType]), { width }));
    }
    return 0;
  },
};
