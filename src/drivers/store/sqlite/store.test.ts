import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { storeContract } from '../contract.ts';
import { openSqliteStore } from './store.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-store-'));
after(() => fs.rmSync(dir, { recursive: true }));

let count = 0;
storeContract({ name: 'sqlite', open: () => openSqliteStore(path.join(dir, `${count++}.db`)) });
