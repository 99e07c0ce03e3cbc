/** The version, from package.json: the one place where it is written. */
import packageFile from '../../package.json' with { type: 'json' };

export const VERSION: string = packageFile.version;
