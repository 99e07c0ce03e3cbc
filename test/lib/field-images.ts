/** The image that all forms of test/e2e/fields.test.ts are made of, and the same with a cloud-init to be handed user data. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { busyboxLayer } from '../../src/drivers/content/bootstrap/busybox.ts';
import { berth } from './cli.ts';
import type { TestDaemon } from './daemon.ts';
import { buildImage, file, layerTar, ociArchive } from './image-builder.ts';

/** Writes down how it was called, and becomes the init, which forgets it. */
const START = '#!/bin/sh\nprintf "%s," "$0" "$@" > /etc/arguments\nexec /sbin/init\n';

export async function importFieldImages(daemon: TestDaemon): Promise<void> {
  const base = Buffer.concat(await Array.fromAsync(busyboxLayer()));
  for (const [name, more] of [['plain', []], ['clouded', [file('usr/bin/cloud-init', '#!/bin/sh\n', 0o755)]]] as const) {
    const image = buildImage({ layers: [base, layerTar([file('etc/image', name), file('sbin/start', START, 0o755), ...more])], config: { config: { Cmd: ['/bin/sh'] } } });
    const archive = path.join(daemon.base, `${name}.tar`);
    await fs.writeFile(archive, ociArchive(image));
    const made = await berth(daemon, ['image', 'import', archive, '--as', name], { timeoutMs: 60_000 });
    if (made.code !== 0) throw new Error(made.stderr);
  }
}
