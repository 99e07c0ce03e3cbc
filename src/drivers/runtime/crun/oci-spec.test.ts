import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BerthError } from '../../../model/errors.ts';
import { objectId } from '../../../model/ids.ts';
import type { UnitPlan } from '../driver.ts';
import { MASKED_PATHS, READ_ONLY_PATHS } from './hidden-paths.ts';
import { clampRlimits, execProcess, ociSpec, type SpecSurroundings } from './oci-spec.ts';

const PLAN: UnitPlan = {
  id: objectId('abcdefghijkl'), name: 'web', project: 'p', hostname: 'web', form: 'appContainer', stdin: true, init: false,
  process: { args: ['nginx', '-g', 'daemon off;'], env: ['PATH=/bin', 'A=b=c'], cwd: '/srv', user: { uid: 33, gid: 33, additionalGids: [4] }, terminal: false },
  capabilities: ['CAP_CHOWN', 'CAP_SETUID'], noNewPrivileges: true,
  rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 65_536 }],
  resources: { memoryBytes: 2 ** 29, cpuWeight: 100, pids: 512 },
  root: { layers: ['/l/1'], upperDir: '/u', readOnly: false, volatile: true },
  mounts: [{ source: '/pool/data', target: '/var/lib/data', readOnly: false }, { source: '/pool/conf', target: '/conf', readOnly: true }],
  tmpfs: [{ target: '/var/cache', sizeBytes: 1 << 20 }], shmBytes: 1 << 26, sysctls: { 'net.core.somaxconn': '1024' },
  network: { interfaces: [], nameservers: [], searchDomains: [] }, log: { maxBytes: 1 << 20, maxFiles: 3 }, stopSignal: 'SIGQUIT',
};

const AROUND: SpecSurroundings = {
  rootPath: '/run/b/m/root', volumeSources: ['/run/b/m/v0', '/run/b/m/v1'], hostsFile: '/run/b/m/hosts', hostnameFile: '/run/b/m/hostname', resolverFile: '/run/b/m/resolver',
  initProgram: '/opt/berth-native', seedFile: '/run/b/m/seed', groupsType: 'cgroup2', userNamespacePath: '/proc/9/fd/20', networkNamespacePath: '/proc/9/fd/21', idBase: 1_000_000, idCount: 65_536,
  maskedPaths: MASKED_PATHS, readOnlyPaths: READ_ONLY_PATHS, seccomp: { bpf: 'AAAA' }, ceilings: { rlimits: new Map([['RLIMIT_NOFILE', 20_000]]), oomScoreAdj: 0 },
};

const invalid = (work: () => unknown): void => {
  assert.throws(work, (error: unknown) => error instanceof BerthError && error.code === 'invalid');
};

describe('the OCI configuration', () => {
  it('of a system: our boot before its init, its own control groups, a /run, its own values, /etc its own', () => {
    const { process, mounts } = ociSpec({ ...PLAN, form: 'osContainer', noNewPrivileges: false, process: { ...PLAN.process, args: ['/sbin/init'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: true }, mounts: [], tmpfs: [] }, { ...AROUND, ownValues: '/run/b/m/values' });
    assert.deepEqual(process.args, ['/dev/.init', 'boot', '/dev/.seed', '--', '/sbin/init']);
    assert.equal(process.noNewPrivileges, false);
    assert.deepEqual(mounts.map(({ destination }) => destination), [
      '/proc', '/dev', '/dev/pts', '/dev/mqueue', '/dev/shm', '/sys', '/sys/fs/cgroup',
      '/proc/cpuinfo', '/proc/diskstats', '/proc/loadavg', '/proc/meminfo', '/proc/stat', '/proc/swaps', '/proc/uptime', '/sys/devices/system/cpu/online',
      '/run', '/run/lock', '/dev/.init', '/dev/.seed',
    ]);
    const of = (destination: string) => mounts.find((one) => one.destination === destination)!;
    assert.deepEqual(of('/sys/fs/cgroup'), { destination: '/sys/fs/cgroup', type: 'cgroup2', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'rw'] });
    assert.ok(of('/sys').options.includes('ro'));
    for (const file of ['/proc/meminfo', '/dev/.seed', '/dev/.init']) assert.ok(of(file).options.includes('ro'), file);
  });

  it('is this, for a web server with a volume, a tmpfs and a compiled filter', () => {
    assert.deepEqual(ociSpec(PLAN, AROUND), {
      ociVersion: '1.0.2',
      process: {
        terminal: false,
        user: { uid: 33, gid: 33, additionalGids: [4], umask: 18 },
        args: ['nginx', '-g', 'daemon off;'], env: ['PATH=/bin', 'A=b=c'], cwd: '/srv',
        capabilities: { bounding: ['CAP_CHOWN', 'CAP_SETUID'], effective: ['CAP_CHOWN', 'CAP_SETUID'], permitted: ['CAP_CHOWN', 'CAP_SETUID'], inheritable: [], ambient: [] },
        noNewPrivileges: true,
        rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 20_000 }],
        oomScoreAdj: 0,
      },
      root: { path: '/run/b/m/root', readonly: false },
      hostname: 'web',
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
        { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
        { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
        { destination: '/dev/shm', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=67108864'] },
        { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
        { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
        { destination: '/etc/resolv.conf', type: 'bind', source: '/run/b/m/resolver', options: ['bind', 'ro', 'nosuid', 'nodev', 'noexec', 'rprivate'] },
        { destination: '/etc/hosts', type: 'bind', source: '/run/b/m/hosts', options: ['bind', 'ro', 'nosuid', 'nodev', 'noexec', 'rprivate'] },
        { destination: '/etc/hostname', type: 'bind', source: '/run/b/m/hostname', options: ['bind', 'ro', 'nosuid', 'nodev', 'noexec', 'rprivate'] },
        { destination: '/dev/.init', type: 'bind', source: '/opt/berth-native', options: ['bind', 'ro', 'nosuid', 'nodev', 'rprivate'] },
        { destination: '/conf', type: 'bind', source: '/run/b/m/v1', options: ['bind', 'nosuid', 'nodev', 'rprivate', 'ro'] },
        { destination: '/var/cache', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777', 'size=1048576'] },
        { destination: '/var/lib/data', type: 'bind', source: '/run/b/m/v0', options: ['bind', 'nosuid', 'nodev', 'rprivate', 'rw'] },
      ],
      annotations: { 'run.oci.seccomp_bpf_data': 'AAAA' },
      linux: {
        namespaces: [{ type: 'user', path: '/proc/9/fd/20' }, { type: 'network', path: '/proc/9/fd/21' }, { type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'cgroup' }, { type: 'time' }],
        uidMappings: [{ containerID: 0, hostID: 1_000_000, size: 65_536 }],
        gidMappings: [{ containerID: 0, hostID: 1_000_000, size: 65_536 }],
        devices: [], resources: {}, rootfsPropagation: 'rprivate',
        maskedPaths: MASKED_PATHS, readonlyPaths: READ_ONLY_PATHS,
        sysctl: { 'net.ipv4.ping_group_range': '0 0', 'net.core.somaxconn': '1024' },
      },
    });
  });

  it('has our init before the command, when asked for', () => {
    const spec = ociSpec({ ...PLAN, init: true }, AROUND);
    assert.deepEqual(spec.process.args, ['/dev/.init', 'init', '--', 'nginx', '-g', 'daemon off;']);
    assert.deepEqual(spec.mounts.find(({ destination }) => destination === '/dev/.init'), { destination: '/dev/.init', type: 'bind', source: '/opt/berth-native', options: ['bind', 'ro', 'nosuid', 'nodev', 'rprivate'] });
  });

  it('A16: holds no annotation but the filter, however a text of the plan is spelled', () => {
    fc.assert(fc.property(fc.constantFrom('run.oci.hooks.stdout', 'run.oci.handler', 'org.criu.config', 'krun.ram_mib', 'module.wasm.image/variant'), fc.string(), (key, value) => {
      const text = `${key}=${value.replaceAll('\0', '')}`;
      const spec = ociSpec({ ...PLAN, name: text, process: { ...PLAN.process, args: [text], env: [text] } }, { ...AROUND, seccomp: undefined });
      assert.deepEqual(spec.annotations, {});
    }));
  });

  it('A17: texts stay whole values: what comes out of the JSON is what went in', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (arg, value) => {
      const plan = { ...PLAN, process: { ...PLAN.process, args: ['x', arg.replaceAll('\0', '')], env: [`V=${value.replaceAll('\0', '')}`] } };
      const written = JSON.parse(JSON.stringify(ociSpec(plan, AROUND))) as { process: { args: string[]; env: string[] } };
      assert.deepEqual([written.process.args, written.process.env], [plan.process.args, plan.process.env]);
    }));
    invalid(() => ociSpec({ ...PLAN, process: { ...PLAN.process, args: ['a\0b'] } }, AROUND));
    invalid(() => ociSpec({ ...PLAN, process: { ...PLAN.process, env: ['A=\0'] } }, AROUND));
    invalid(() => ociSpec({ ...PLAN, process: { ...PLAN.process, env: ['no assignment'] } }, AROUND));
    invalid(() => ociSpec({ ...PLAN, process: { ...PLAN.process, args: [] } }, AROUND));
  });

  it('refuses paths that are not its own', () => {
    for (const target of ['/', '/proc', '/proc/sys', '/sys/x', '/dev', '/dev/shm', '/a/../proc', 'relative', '', '//', '/./dev']) {
      invalid(() => ociSpec({ ...PLAN, mounts: [{ source: '/pool/x', target, readOnly: false }] }, AROUND));
      invalid(() => ociSpec({ ...PLAN, tmpfs: [{ target, sizeBytes: 1 }] }, AROUND));
    }
  });

  it('refuses kernel settings of the host, and values that are no text', () => {
    for (const key of ['kernel.core_pattern', 'vm.swappiness', 'fs.file-max', 'net.../../kernel.core_pattern', 'kernel.shmmax/../core_pattern', '', 'NET.x']) {
      invalid(() => ociSpec({ ...PLAN, sysctls: { [key]: '1' } }, AROUND));
    }
    invalid(() => ociSpec({ ...PLAN, sysctls: { 'net.core.somaxconn': '1\n2' } }, AROUND));
  });

  it('A12: takes ids of the container only', () => {
    for (const id of [-1, 65_536, 4_294_967_296, 0.5, Number.NaN, Infinity]) {
      invalid(() => execProcess({ ...PLAN.process, user: { uid: id, gid: 0, additionalGids: [] }, stdin: false, noNewPrivileges: true, capabilities: [] }, 65_536));
      invalid(() => execProcess({ ...PLAN.process, user: { uid: 0, gid: 0, additionalGids: [id] }, stdin: false, noNewPrivileges: true, capabilities: [] }, 65_536));
    }
  });

  it('clamps limits to the daemon’s, and refuses unknown ones', () => {
    const ceilings = new Map([['RLIMIT_NOFILE', 100], ['RLIMIT_CORE', Number.MAX_SAFE_INTEGER]]);
    assert.deepEqual(clampRlimits([{ type: 'RLIMIT_NOFILE', soft: 500, hard: 1000 }, { type: 'RLIMIT_CORE', soft: 0, hard: 0 }], ceilings), [
      { type: 'RLIMIT_NOFILE', soft: 100, hard: 100 }, { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
    ]);
    invalid(() => clampRlimits([{ type: 'RLIMIT_WISHES', soft: 1, hard: 1 }], ceilings));
  });
});
