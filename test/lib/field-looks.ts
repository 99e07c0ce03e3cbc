/**
 * What each field of an instance looks like from inside: one row for each field, one body for all forms that have it. The
 * model says which forms refuse a field and why; there its value must be refused with that reason. A new field needs a
 * row here (test/rules/fields.test.ts asks for it), and nothing else: test/e2e/fields.test.ts runs all cells.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { fieldRows, type FieldRow } from '../../src/model/define.ts';
import { FORM_LABEL, FORMS, type Form } from '../../src/model/forms.ts';
import { instanceSpec, type InstanceSpec } from '../../src/model/instance.ts';
import { cgroupMounts } from '../../src/host/cgroup.ts';
import { capabilityNumber } from '../../src/drivers/runtime/qemu/linux-numbers.ts';
import type { TestDaemon } from './daemon.ts';
import { until } from './until.ts';

const MIB = 1024 * 1024;

/**
 * Instances that the cells of a form share, because a VM takes seconds to boot. `full` has most fields; `talker` is spoken
 * to, ends and comes back; `brief` is gone after its end.
 */
export const SUBJECTS = ['full', 'talker', 'brief'] as const;
export type Subject = (typeof SUBJECTS)[number];

/** An instance, looked at. */
export interface Seen {
  readonly form: Form;
  readonly name: string;
  readonly daemon: TestDaemon;
  status(): Promise<any>; // eslint-disable-line -- looked into
  /** What a script said that root runs inside; it must succeed. */
  inside(script: string): Promise<string>;
  /** Its log, without the carriage returns of a terminal. */
  log(): Promise<string>;
  /** What the first process of an app form said of itself at its start (`key=value`). */
  said(key: string): Promise<string>;
  /** Changes its spec while it runs. */
  change(spec: Record<string, unknown>): Promise<void>;
  /** Speaks to its standard input or console. */
  speak(text: string): Promise<void>;
}

type See<V = unknown> = (seen: Seen, value: V) => Promise<void>;

export interface Row<K extends keyof InstanceSpec = keyof InstanceSpec> {
  /** What is asked for; of the form where that matters. Forms that refuse the field are asked for the same. */
  readonly value: InstanceSpec[K] | ((form: Form) => InstanceSpec[K]);
  readonly on?: Subject;
  /** In forms where it is another instance than in the rest. */
  readonly onIn?: Partial<Record<Form, Subject>>;
  /** One body for all forms, or one for some; a path of the test that looks where another one does. */
  readonly see: See<NonNullable<InstanceSpec[K]>> | Partial<Record<Form, See<NonNullable<InstanceSpec[K]>> | `test/${string}`>>;
  /** Of a field that changes what runs: what it is changed to, to be looked at again by the same body. */
  readonly next?: NonNullable<InstanceSpec[K]>;
}

export const isOs = (form: Form): boolean => form === 'osContainer' || form === 'vm';
export const isVm = (form: Form): boolean => form === 'microVM' || form === 'vm';

/** The first process of an app form, by subject: it says what it sees, and goes on as its subject must. */
const SAY = 'echo "main=$$"; echo "arguments=$0,$1"; echo "greeting=$GREETING"; echo "directory=$(pwd)"; echo "user=$(id -u):$(id -g)"; echo "files=$(ulimit -Sn) $(ulimit -Hn)"; echo "terminal=$(tty)"; echo "bounding=$(grep CapBnd /proc/self/status | tr -dc 0-9a-f | tail -c 16)"; (sleep 0.01 &)';
const MAIN: Readonly<Record<Subject, string>> = {
  full: `trap 'echo heard=USR1' USR1; ${SAY}; while :; do sleep 0.2; done`,
  talker: 'read line; seq 1 60000; echo "heard=$line"; exit 3',
  brief: 'while :; do sleep 0.2; done',
};

const sized = (target: string, kibibytes: number): See => async ({ inside }) => {
  assert.equal(await inside(`df -k ${target} | awk 'NR == 2 { print $2 }'`), String(kibibytes));
};

/** Rows of the table that are looked at in their order: what ends an instance comes last. */
export const FIELD_LOOKS: { readonly [K in keyof Required<InstanceSpec>]: Row<K> } = {
  running: { value: true, see: async ({ status }) => { assert.equal((await status()).state, 'running'); } },
  isolation: {
    value: (form) => (isVm(form) ? 'vm' : 'container'),
    async see({ form, inside, status }) {
      const own = execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim();
      assert.equal((await inside('uname -r')) === own, !isVm(form), 'a kernel of its own, or the host’s');
      assert.equal((await status()).boundary === 'kernel', !isVm(form));
    },
  },
  mode: {
    value: (form) => (isOs(form) ? 'os' : 'app'),
    async see({ form, inside, said }) {
      if (isOs(form)) assert.match(await inside('readlink /proc/1/exe'), /^\/(bin\/busybox|sbin\/init)$/);
      else assert.match(await said('arguments'), /^zero,/);
    },
  },
  image: {
    value: 'plain', async see({ inside, status }) {
      assert.equal(await inside('cat /etc/image'), 'plain');
      assert.match((await status()).imageReference, /plain/);
    },
  },
  firmware: { value: 'uefi', see: { vm: 'test/e2e/foreign-boot.test.ts' } },
  machinePreset: { value: 'ahci-e1000', see: { vm: 'test/e2e/disk-image.test.ts' } },
  iso: { value: ['plain'], see: { vm: 'test/e2e/disk-image.test.ts' } },
  kernel: { value: 'plain', see: { microVM: 'test/e2e/own-kernel.test.ts', vm: 'test/e2e/own-kernel.test.ts' } },
  entrypoint: {
    value: (form) => (isOs(form) ? ['/sbin/start', 'first'] : ['/bin/sh', '-c']),
    see: async ({ form, inside, said }) => { assert.match(isOs(form) ? await inside('cat /etc/arguments') : await said('arguments'), isOs(form) ? /^\/sbin\/start,first,/ : /^zero,/); },
  },
  command: {
    value: (form) => (isOs(form) ? ['two words'] : [MAIN.full, 'zero', 'two words']),
    see: async ({ form, inside, said }) => { assert.match(isOs(form) ? await inside('cat /etc/arguments') : await said('arguments'), /,two words,?$/); },
  },
  env: {
    value: { GREETING: 'grüß "Gott" $HOME' },
    async see({ form, inside, said }) {
      assert.equal(isOs(form) ? await inside('tr "\\0" "\\n" < /proc/1/environ | sed -n s/^GREETING=//p') : await said('greeting'), 'grüß "Gott" $HOME');
      assert.equal(await inside('echo "$GREETING"'), 'grüß "Gott" $HOME', 'of what is executed beside it');
    },
  },
  workdir: { value: '/tmp/made/for-it', see: async ({ said }) => { assert.equal(await said('directory'), '/tmp/made/for-it'); } },
  user: { value: '1000:1001', see: async ({ said }) => { assert.equal(await said('user'), '1000:1001'); } },
  hostname: { value: 'called', see: async ({ inside }) => { assert.equal(await inside('hostname; cat /etc/hostname; uname -n'), 'called\ncalled\ncalled'); } },
  userData: {
    value: { users: [{ name: 'bob', uid: 1234 }], write_files: [{ path: '/srv/note', content: 'made' }], runcmd: ['echo one >> /root/commands'] },
    async see({ inside }) {
      assert.equal(await inside('id -u bob; cat /srv/note'), '1234\nmade');
      await until(async () => (await inside('cat /root/commands || true')) === 'one', { deadlineMs: 30_000, what: 'its command' });
    },
  },
  cloudInit: {
    value: '#cloud-config\ntimezone: Europe/Vienna\n', on: 'brief',
    see: async ({ inside, name }) => { assert.match(await inside('cd /var/lib/cloud/seed/nocloud; cat user-data meta-data'), new RegExp(`timezone: Europe/Vienna[^]*"local-hostname":"${name}"`)); },
  },
  terminal: {
    value: true,
    async see({ form, said, inside }) {
      if (isOs(form)) assert.equal(await inside('stat -L -c %F /proc/1/fd/0'), 'character special file');
      else assert.match(await said('terminal'), /^\/dev\/(pts\/\d+|console)$/);
    },
  },
  stdin: {
    value: true, on: 'talker', onIn: { osContainer: 'full', vm: 'full' },
    async see({ form, log, speak }) {
      // A console that nobody used yet waits for a key.
      await speak(isOs(form) ? '\necho "heard=$((6 * 7))"\n' : '42\n');
      await until(async () => /^heard=42$/m.test(await log()), { deadlineMs: 30_000, what: 'what it heard' });
    },
  },
  init: {
    value: true,
    async see({ said, inside }) {
      assert.notEqual(await said('main'), '1');
      // Its first process left an orphan that ended: somebody took it.
      assert.equal(await inside('grep -l "^State:.*Z" /proc/[0-9]*/status 2>/dev/null | wc -l'), '0');
    },
  },
  readOnlyRoot: { value: true, see: async ({ inside }) => { assert.match(await inside('touch /x 2>&1 || true; touch /bin/x 2>&1 || true'), /\/x: Read-only file system[^]*\/bin\/x: Read-only file system/); } },
  memoryBytes: {
    value: 192 * MIB, next: 144 * MIB,
    async see({ form, inside }, value) {
      const seen = async (): Promise<number> => (form === 'appContainer' ? Number(await inside('cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max')) : Number(await inside('awk \'/MemTotal/ {print $2}\' /proc/meminfo')) * 1024);
      // A kernel of its own keeps a part for itself, and gives away what it has to bit by bit.
      await until(async () => { const bytes = await seen(); return bytes <= value && bytes >= value * (isVm(form) ? 0.7 : 1); }, { deadlineMs: 30_000, what: `${value} bytes of memory` });
    },
  },
  cpus: {
    value: 0.5, next: 0.25,
    async see({ form, daemon, name, inside }, value) {
      // An app container sees the host's processors and gets its share of them.
      if (form !== 'appContainer') assert.equal(await inside('grep -c ^processor /proc/cpuinfo'), '1');
      const used = async (): Promise<number> => (await daemon.ok('GET', '/v1/projects/default/instances/-/stats')).items.find((one: { name: string }) => one.name === name).cpuNanoseconds / 1e6;
      const before = await used(), begin = performance.now();
      await inside('timeout 2 sh -c "while :; do :; done" || true');
      const took = performance.now() - begin, share = ((await used()) - before) / took;
      assert.ok(share > value / 5 && share < value * 1.2, `${share.toFixed(2)} of a CPU for ${took.toFixed(0)} ms`);
    },
  },
  cpuWeight: {
    value: 200, next: 50,
    async see({ status }, value) {
      const [file, weight] = cpuWeightOf((await status()).pid);
      assert.equal(weight, file.endsWith('cpu.shares') ? Math.round(value * 10.24) : value, file);
    },
  },
  pids: {
    value: 60, next: 40,
    async see({ inside }, value) {
      // None of them may end before the last began, on whatever machine, or stay after it.
      const together = (count: number): Promise<string> => inside(`trap 'kill $all' EXIT; i=0; while [ $i -lt ${count} ]; do sleep 60 & all="$all $!"; i=$((i+1)); done 2>/dev/null; echo all`).catch(() => 'refused');
      assert.equal(await together(value - 20), 'all');
      assert.equal(await together(value + 10), 'refused');
      await until(() => inside('test "$(grep -l sleep /proc/[0-9]*/comm | wc -l)" -le 1').then(() => true, () => false), { deadlineMs: 30_000, what: 'room for others again' });
    },
  },
  ulimits: {
    value: { nofile: { soft: 512, hard: 2048 } },
    see: async ({ form, inside, said }) => { assert.equal(isOs(form) ? await inside('awk \'/open files/ {print $4, $5}\' /proc/1/limits') : await said('files'), '512 2048'); },
  },
  shmBytes: { value: 4 * MIB, see: sized('/dev/shm', 4096) },
  rootDiskBytes: {
    // A pool without quotas refuses it for containers; it would take the whole subject along.
    value: (form) => (isVm(form) ? 96 * MIB : undefined), on: 'brief',
    async see({ form, daemon, inside }) {
      if (!isVm(form)) {
        const { items: [pool] } = await daemon.ok('GET', '/v1/pools');
        const answer = await daemon.request('POST', '/v1/projects/default/instances?waitMs=60000', { meta: { name: 'sized' }, spec: { image: 'plain', isolation: 'container', mode: isOs(form) ? 'os' : 'app', rootDiskBytes: 96 * MIB } });
        assert.equal(answer.body.status.state, pool.status.quota ? 'succeeded' : 'failed');
        if (!pool.status.quota) assert.deepEqual([answer.body.status.error.code, /no quotas/.test(answer.body.status.error.message)], ['unsupported', true]);
        return;
      }
      const kibibytes = Number(await inside('df -k / | awk \'NR == 2 { print $2 }\''));
      assert.ok(kibibytes > 48 * 1024 && kibibytes <= 96 * 1024, `${kibibytes} KiB`);
    },
  },
  root: { value: 'flat', see: { vm: 'test/e2e/flat-root.test.ts' } },
  tmpfs: { value: [{ target: '/scratch', sizeBytes: 8 * MIB }], see: sized('/scratch', 8192) },
  volumes: {
    // A directory for containers, a disk for machines: made when missing.
    value: (form) => [{ volume: isVm(form) ? 'disk' : 'data', target: '/data', readOnly: false }, { volume: isVm(form) ? 'fixed-disk' : 'fixed', target: '/fixed', readOnly: true }],
    see: async ({ inside }) => { assert.match(await inside('echo kept > /data/x && cat /data/x; touch /fixed/x 2>&1 || true'), /^kept\n.*Read-only file system$/); },
  },
  networks: {
    value: [{ name: 'default' }, { name: 'second' }],
    async see({ inside, status, name }) {
      const { addresses } = await status();
      assert.equal(await inside('for i in eth0 eth1; do ip -4 -o addr show $i | awk \'{print $2, $4}\' | cut -d/ -f1; done'), `eth0 ${addresses.default[0]}\neth1 ${addresses.second[0]}`);
      assert.match(await inside(`nslookup -type=a ${name}.default.berth`), new RegExp(`Address:\\s+${addresses.default[0]}`), 'it is known by name');
    },
  },
  ports: {
    value: [{ protocol: 'tcp', targetPort: 8080 }],
    async see({ daemon, inside, status }) {
      await inside('echo reached > /scratch/answer && httpd -p 8080 -h /scratch');
      const { hostPort } = (await status()).published[0];
      const ask = `printf 'GET /answer HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 127.0.0.1 ${hostPort}`;
      assert.match(await until(() => daemon.fromTheHost(['sh', '-c', ask]).catch(() => ''), { deadlineMs: 30_000, what: 'an answer' }), /\nreached\n$/);
    },
  },
  capabilities: {
    value: { add: ['NET_RAW', 'SYS_NICE'], drop: ['CHOWN'] },
    async see({ form, inside, said }) {
      const bounding = BigInt(`0x${isOs(form) ? await inside('awk \'/CapBnd/ {print $2}\' /proc/1/status') : await said('bounding')}`);
      const has = (name: string): boolean => (bounding >> BigInt(capabilityNumber(`CAP_${name}`)) & 1n) === 1n;
      assert.deepEqual(['NET_RAW', 'SYS_NICE', 'CHOWN', 'KILL', 'SYS_TIME'].map(has), [true, true, false, true, form === 'vm']);
    },
  },
  log: {
    value: { maxBytes: 65_536, maxFiles: 3 }, on: 'talker', onIn: { osContainer: 'full', vm: 'full' },
    async see({ form, inside, log }) {
      if (isOs(form)) await inside('seq 1 60000 > /dev/console');
      const text = await until(async () => { const now = await log(); return /^60000$/m.test(now) ? now : undefined; }, { deadlineMs: 60_000, what: 'its last line' });
      // A flood faster than the looks at it loses what is between.
      assert.ok(text.length <= 3 * 65_536, `${text.length} bytes`);
    },
  },
  restart: {
    value: (form) => (isOs(form) ? { policy: 'no' } : { policy: 'on-failure', maxRetries: 5 }), on: 'talker', onIn: { osContainer: 'full', vm: 'full' },
    async see({ form, daemon, name, status, change }) {
      const kill = () => daemon.ok('POST', `/v1/projects/default/instances/${name}/kill?signal=SIGKILL`);
      if (isOs(form)) {
        await change({ restart: { policy: 'on-failure' } });
        await kill();
      }
      const again = await until(async () => { const now = await status(); return now.restarts > 0 && now.state === 'running' ? now : undefined; }, { deadlineMs: 120_000, intervalMs: 100, what: 'its next life' });
      assert.equal(again.restarts, 1);
      if (isOs(form)) return;
      await change({ restart: { policy: 'no' } });
      await kill();
      assert.equal((await until(async () => { const now = await status(); return now.state === 'running' ? undefined : now; }, { deadlineMs: 60_000, what: 'its end' })).state, 'stopped');
    },
  },
  stopSignal: {
    // At first what would end each of them at once.
    value: 'SIGUSR2',
    async see({ form, daemon, name, log, status, change }) {
      await change({ stopSignal: isOs(form) ? 'SIGWINCH' : 'SIGUSR1', stopGraceMs: 700 });
      await daemon.ok('POST', `/v1/projects/default/instances/${name}/stop?waitMs=120000`);
      const { state, reason } = await status();
      // An init is not asked to power off but told this, which it does not heed.
      assert.deepEqual([state, reason], ['stopped', 'killed']);
      if (!isOs(form)) assert.match(await log(), /^heard=USR1$/m);
    },
  },
  stopGraceMs: {
    value: 45_000,
    async see({ daemon, name, status }) {
      const { items } = await daemon.ok('GET', '/v1/projects/default/operations');
      const stop = items.find((one: any) => one.spec.verb === 'instance.stop' && one.spec.target.name === name); // eslint-disable-line
      const took = Date.parse(stop.status.finishedAt) - Date.parse(stop.status.startedAt ?? stop.meta.createdAt);
      assert.ok(took >= 700 && took < 20_000, `${took} ms`);
      assert.equal((await status()).exitCode, 137);
    },
  },
  removeOnExit: {
    value: true, on: 'brief',
    async see({ form, daemon, name, inside, status }) {
      if (form === 'osContainer') {
        const { startedAt } = await status();
        await inside('reboot');
        await until(async () => { const now = (await daemon.instance(name))?.status; return now?.health === 'healthy' && now.startedAt !== startedAt; }, { deadlineMs: 60_000, what: 'its reboot, which is not its end' });
      }
      if (isOs(form)) await inside('poweroff');
      else await daemon.ok('POST', `/v1/projects/default/instances/${name}/kill?signal=SIGKILL`);
      await until(async () => (await daemon.instance(name)) === undefined, { deadlineMs: 60_000, what: 'its removal' });
    },
  },
};

/** The weight of the control group of a process, and the file that says it. */
function cpuWeightOf(pid: number): readonly [string, number] {
  const mounts = cgroupMounts();
  const found = fs.readFileSync(`/proc/${pid}/cgroup`, 'latin1').split('\n').flatMap((line) => {
    const [, controllers = '', group = ''] = line.split(':');
    const mount = mounts.find((one) => (one.type === 'cgroup' ? controllers.split(',').includes('cpu') && one.options.includes('cpu') : controllers === ''));
    // An init governs groups of its own below the instance's.
    const own = group.split('/').slice(0, 3).join('/');
    return mount === undefined ? [] : [`${mount.target}${own}/${mount.type === 'cgroup' ? 'cpu.shares' : 'cpu.weight'}`];
  }).find((file) => fs.existsSync(file));
  assert.ok(found !== undefined, `the control group of ${pid}`);
  return [found, Number(fs.readFileSync(found, 'latin1'))];
}

/** All fields of the model. */
export function fields(): readonly FieldRow[] {
  return fieldRows(instanceSpec);
}

export function refusalOf({ traits }: FieldRow, form: Form): string | undefined {
  const meaning = traits.means[form];
  return typeof meaning === 'string' ? undefined : meaning.refused;
}

export function rowOf(field: FieldRow): Row | undefined {
  return (FIELD_LOOKS as Readonly<Record<string, Row>>)[field.path];
}

export function valueOf(row: Row, form: Form): unknown {
  return typeof row.value === 'function' ? row.value(form) : row.value;
}

export function subjectOf(row: Row, form: Form): Subject {
  return row.onIn?.[form] ?? row.on ?? 'full';
}

/** The body of a cell, or the test that has it; undefined: nobody looks. */
export function lookOf(row: Row, form: Form): See<never> | `test/${string}` | undefined {
  return typeof row.see === 'function' ? row.see : row.see[form];
}

/** Live fields that are changed by their own look, because it ends the instance; `running` is by src/control/instance/talk.test.ts. */
export const CHANGED_BY_THEIR_LOOK: readonly string[] = ['running', 'restart', 'stopSignal', 'stopGraceMs'];

/** Cells of the model that nobody looks at, as `field in a form`. */
export function unseenCells(rows: readonly FieldRow[], row: (field: FieldRow) => Row | undefined): readonly string[] {
  return rows.flatMap((field) => FORMS.flatMap((form) => {
    const one = row(field);
    return one === undefined || (refusalOf(field, form) === undefined && lookOf(one, form) === undefined) ? [`${field.path} in ${FORM_LABEL[form]}`] : [];
  }));
}

/** What is asked for to make the subject of a form: the values of all its rows, but for what the form refuses. */
export function subjectSpec(subject: Subject, form: Form): Record<string, unknown> {
  const spec: Record<string, unknown> = {};
  for (const field of fields()) {
    const row = rowOf(field);
    // What is looked at elsewhere is asked for there, of an image that goes with it.
    if (row === undefined || refusalOf(field, form) !== undefined || typeof lookOf(row, form) === 'string') continue;
    if (subjectOf(row, form) === subject || BASICS.includes(field.path)) spec[field.path] = valueOf(row, form);
  }
  return { ...spec, ...(subject === 'full' ? {} : FEWER[subject](form)) };
}

/** Every subject has them. */
const BASICS: readonly string[] = ['running', 'isolation', 'mode', 'image', 'entrypoint', 'memoryBytes'];
const FEWER: Readonly<Record<Exclude<Subject, 'full'>, (form: Form) => Record<string, unknown>>> = {
  talker: () => ({ command: [MAIN.talker] }),
  brief: (form) => (isOs(form) ? { image: 'clouded', restart: { policy: 'no' } } : { command: [MAIN.brief] }),
};
