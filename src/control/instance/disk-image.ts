/** VMs of disk images: what their specs may say, their CDs, and what is told to their cloud-init. */
import type { DiskRootPlan } from '../../drivers/runtime/driver.ts';
import { formatBytes } from '../../lib/bytes.ts';
import { BerthError } from '../../model/errors.ts';
import { aForm, type Form } from '../../model/forms.ts';
import { printable } from '../../model/ids.ts';
import { imageType, type Image, type ImageType } from '../../model/image.ts';
import { REFUSED_BY_IMAGE } from '../../model/image-fields.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import { findImage } from '../image/find.ts';
import type { Services } from '../services.ts';
import { cloudSeed, hostnameOf } from './boot-plan.ts';
import { isUnset } from './refused-fields.ts';
import { idOf } from './context.ts';

/** An empty disk for a system that is put on it from a CD. */
const EMPTY_DISK_BYTES = 10 * 1024 ** 3;
const WORD = { disk: 'a disk image', iso: 'a CD' } as const;

const WHY: Readonly<Record<Exclude<Form, 'vm'>, string>> = {
  appContainer: 'it has a kernel of its own, which a container cannot boot', osContainer: 'it has a kernel of its own, which a container cannot boot',
  microVM: 'it boots by its firmware, and a microVM starts one application',
};

/** @throws unsupported or invalid when form, image and fields do not go together. */
export function assertFitsImage(spec: InstanceSpec, image: Image, form: Form): void {
  const type = imageType(image);
  if (type !== 'oci' && form !== 'vm') throw new BerthError('unsupported', `'${printable(spec.image)}' is ${WORD[type]}: ${WHY[form]}.`, { hint: `Make a VM of it: berth launch --vm ${printable(spec.image)}`, fields: [{ path: 'spec.image', message: `${WORD[type]}, and this is to be ${aForm(form)}` }] });
  assertFitsType(spec, type);
  if (type === 'disk' && spec.rootDiskBytes !== undefined && spec.rootDiskBytes < image.status.bytes) {
    throw new BerthError('invalid', `The disk of this image has ${formatBytes(image.status.bytes)}: it cannot be made smaller.`, { hint: `Leave --disk out, or give at least ${image.status.bytes} bytes.`, fields: [{ path: 'spec.rootDiskBytes', message: 'smaller than the image' }] });
  }
}

/** @throws unsupported naming every field that an image of this type leaves without a meaning. */
export function assertFitsType(spec: InstanceSpec, type: ImageType): void {
  const refused = Object.entries(REFUSED_BY_IMAGE[type]).filter(([name]) => !isUnset(spec[name as keyof InstanceSpec]));
  const [first] = refused;
  if (first !== undefined) throw new BerthError('unsupported', `${first[0]} cannot be had with this image: ${first[1]}.`, { fields: refused.map(([name, reason]) => ({ path: `spec.${name}`, message: reason })), hint: 'docs/reference/fields.md says what each field means in each form.' });
}

/** @throws notFound, or invalid when one is no CD. */
export function chooseCds(services: Services, project: string, spec: InstanceSpec): readonly Image[] {
  return (spec.iso ?? []).map((reference, index) => {
    const image = findImage(services, project, reference);
    if (imageType(image) !== 'iso') throw new BerthError('invalid', `'${printable(reference)}' is no CD.`, { hint: 'Take it in as one: berth image import FILE --as NAME --disk iso', fields: [{ path: `spec.iso.${index}`, message: 'not an image of type iso' }] });
    return image;
  });
}

/** What the writable disk begins as, for the pool. */
export function diskRequest(services: Services, image: Image, { rootDiskBytes }: InstanceSpec): { readonly from?: string; readonly sizeBytes: number } {
  if (imageType(image) === 'iso') return { sizeBytes: rootDiskBytes ?? EMPTY_DISK_BYTES };
  return { from: services.content.diskFile(image.status.digest), sizeBytes: rootDiskBytes ?? image.status.bytes };
}

export function diskRootPlan(services: Services, instance: Instance): DiskRootPlan {
  const { spec, status } = instance;
  const { rootDisk } = services.storage.rootPaths(idOf(instance), status.form, 'disk');
  if (rootDisk === undefined) throw new TypeError('the pool knows no disk of a VM');
  const cds = [...(status.imageType === 'iso' ? [status.imageId] : []), ...(status.isoIds ?? [])];
  const seeded = status.imageType === 'disk' || spec.userData !== undefined || spec.cloudInit !== undefined;
  return {
    file: rootDisk, firmware: spec.firmware ?? 'bios', preset: spec.machinePreset ?? 'virtio', isoFiles: cds.map((id) => services.content.diskFile(id)),
    ...(seeded ? { seed: cloudSeed(instance, hostnameOf(instance)) } : {}),
  };
}
