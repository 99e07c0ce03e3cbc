/** `berth daemon`. */
import { daemonProcess } from './daemon-process.ts';

await daemonProcess();
