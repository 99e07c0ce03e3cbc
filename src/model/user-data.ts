/**
 * User data of an OS instance, applied at its first boot: the part of cloud-init's cloud-config that Berth applies by
 * itself, spelt as there (docs.cloud-init.io, “Module reference”). What lands in a line of a file may hold nothing that
 * would start another.
 */
import * as z from 'zod';
import { dataText, insidePath, nameText, plainText } from './text.ts';

const MAX_CONTENT = 256 * 1024;
const MAX_TEXT = 512 * 1024;

const ACCOUNT = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'not a name of a user or group');
/** A field of passwd(5). */
const column = (max: number, what: string) => plainText(max, what).refine((text) => !text.includes(':'), { message: `${what} may not hold a colon` });
const KEY = plainText(16_384, 'a key').min(16, 'not a line of authorized_keys');
/** sudoers(5): a rule is a line; a backslash would join it to the next. */
const RULE = plainText(512, 'a rule').regex(/^[^\\#]+$/, 'not a rule of sudoers');
const list = <T extends z.ZodType>(item: T, max: number) => z.union([item, z.array(item).max(max)]);

const userSchema = z.strictObject({
  name: ACCOUNT,
  uid: z.number().int().min(1).max(65_533).optional(),
  gecos: column(256, 'a full name').optional(),
  homedir: insidePath.refine((path) => !path.includes(':'), { message: 'may not hold a colon' }).optional(),
  shell: insidePath.refine((path) => !path.includes(':'), { message: 'may not hold a colon' }).optional(),
  groups: list(column(2048, 'a list of groups').regex(/^[a-z_][a-z0-9_, -]*$/, 'not a list of groups'), 64).optional(),
  sudo: z.union([list(RULE, 16), z.literal(false), z.null()]).optional(),
  ssh_authorized_keys: z.array(KEY).max(64).optional(),
  /** A hash as crypt(3) makes it; counts when lock_passwd is false. */
  passwd: column(512, 'a password hash').optional(),
  lock_passwd: z.boolean().optional(),
});

const fileSchema = z.strictObject({
  path: insidePath.refine((path) => !path.endsWith('/'), { message: 'is a directory' }),
  content: dataText(MAX_CONTENT).optional(),
  encoding: z.enum(['text/plain', 'b64', 'base64']).optional(),
  permissions: z.string().regex(/^0?o?[0-7]{3,4}$/, 'not permissions such as 0644').optional(),
  owner: z.string().regex(/^[a-z0-9_][a-z0-9_-]{0,31}(:[a-z0-9_][a-z0-9_-]{0,31})?$/, 'not USER or USER:GROUP').optional(),
  append: z.boolean().optional(),
});

const commandSchema = z.union([dataText(131_072).min(1), z.array(dataText(131_072)).min(1).max(256)]);

/** Known from cloud-init, and refused with the reason. */
const refused = (why: string) => z.undefined({ error: why }).optional();
const NOT_INSTALLED = 'Berth installs nothing in a running system: bake packages into the image (`berth image bootstrap --include`), or leave it to an image that has cloud-init';

export const userDataSchema = z.strictObject({
  hostname: nameText.optional(),
  users: z.array(userSchema).max(64).optional(),
  /** For the first of `users`, or root. */
  ssh_authorized_keys: z.array(KEY).max(64).optional(),
  write_files: z.array(fileSchema).max(256).optional(),
  runcmd: z.array(commandSchema).max(256).optional(),
  packages: refused(NOT_INSTALLED), package_update: refused(NOT_INSTALLED), package_upgrade: refused(NOT_INSTALLED),
});
export type UserData = z.infer<typeof userDataSchema>;

export const cloudInitText = dataText(MAX_TEXT).min(1);
