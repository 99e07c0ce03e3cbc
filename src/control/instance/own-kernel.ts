/** Kernels that people bring for their machines: images like any other, chosen by name and kept while an instance has them. */
import { BerthError } from '../../model/errors.ts';
import { printable } from '../../model/ids.ts';
import { imageType, type Image } from '../../model/image.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import { findImage } from '../image/find.ts';
import type { Services } from '../services.ts';

/**
 * The image of `spec.kernel`, looked through: what a guest could not boot is said before anything is made.
 * @throws notFound, or invalid when it holds no kernel for a guest.
 */
export async function chooseKernel(services: Services, project: string, { kernel }: InstanceSpec): Promise<Image | undefined> {
  if (kernel === undefined) return undefined;
  const image = findImage(services, project, kernel);
  const fields = [{ path: 'spec.kernel', message: 'not an image with a kernel for guests' }];
  if (imageType(image) !== 'oci') throw new BerthError('invalid', `'${printable(kernel)}' is a disk: a kernel is taken from the files of an image.`, { hint: 'Make one of a kernel package: dpkg-deb --fsys-tarfile linux-image-….deb | berth image import - --as KERNEL', fields });
  using _held = services.imageUses.hold(image.meta.id);
  try {
    await laidOut(services, image);
  } catch (error) {
    throw error instanceof BerthError && error.code === 'invalid' ? new BerthError('invalid', error.message, { hint: error.hint, fields, cause: error }) : error;
  }
  return image;
}

/** Where the kernel of the instance lies, for its machine; undefined for the one of all. */
export async function kernelDirOf(services: Services, { meta, status }: Instance, signal?: AbortSignal): Promise<string | undefined> {
  if (status.kernelImageId === undefined) return undefined;
  const image = services.registry.list<Image>('Image', meta.project).find((one) => one.status.digest === status.kernelImageId);
  if (image === undefined) throw new BerthError('notFound', `The image of its kernel (${status.kernelImageId}) is not here any more.`, { hint: 'Bring it in again, or choose another: berth update NAME --kernel IMAGE' });
  return laidOut(services, image, signal);
}

function laidOut({ content }: Services, { status }: Image, signal?: AbortSignal): Promise<string> {
  return content.guestKernel(status.configDigest, status.layers.map((layer) => layer.diffId), signal);
}
