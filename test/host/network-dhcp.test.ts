/** Addresses for systems that ask: real clients on a port that may, and what everybody else gets. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { NetworkPlan } from '../../src/drivers/network/driver.ts';
import { linkLocalOf } from '../../src/lib/ip-address.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { ethernet, icmpv6, ipv4, ipv6, udp } from '../lib/frames.ts';
import { NetworkLab, type Station } from '../lib/network-lab.ts';
import { patient } from '../lib/patience.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

/** A system that was set up by nobody: it has its link and no more. */
async function asking(lab: NetworkLab, plan: NetworkPlan, kind: 'veth' | 'tap' = 'tap'): Promise<Station> {
  return forget(lab, await lab.station(plan, kind, { dhcp: true }));
}

async function forget(lab: NetworkLab, station: Station): Promise<Station> {
  for (const family of ['-4', '-6']) await lab.at(station, ['ip', family, 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
  for (const family of ['-4', '-6']) await lab.at(station, ['ip', family, 'route', 'flush', 'default']);
  return station;
}

/** What the client was told, by name; undefined: nobody answered. */
async function lease(lab: NetworkLab, station: Station, ...more: readonly string[]): Promise<Readonly<Record<string, string>> | undefined> {
  const { code, stdout } = await lab.at(station, ['busybox', 'udhcpc', '-f', '-q', '-n', '-i', 'eth0', '-t', '3', '-T', '2', '-s', await script(lab), '-O', 'domain', ...more], 20_000);
  return code === 0 ? words(stdout) : undefined;
}

async function lease6(lab: NetworkLab, station: Station): Promise<Readonly<Record<string, string>>> {
  const file = (name: string): string => path.join(lab.dir, `${station.port.portId}.${name}`);
  await until(async () => !/tentative/.test((await lab.at(station, ['ip', '-6', 'addr', 'show', 'dev', 'eth0'])).stdout), { what: 'the link-local address', deadlineMs: 20_000 });
  const { stdout, stderr } = await lab.at(station, ['dhclient', '-6', '-1', '-d', '-lf', file('lf'), '-pf', file('pf'), '-cf', '/dev/null', '-sf', await script(lab), 'eth0'], 30_000);
  return words(`${stdout}\n${stderr}`);
}

async function script(lab: NetworkLab): Promise<string> {
  const file = path.join(lab.dir, 'said');
  // It ends a client that would go on.
  await fs.promises.writeFile(file, '#!/bin/sh\ncase "$1$reason" in bound|BOUND6) env; [ -z "$reason" ] || kill $PPID;; esac\nexit 0\n', { mode: 0o755 });
  return file;
}

const words = (text: string): Record<string, string> => Object.fromEntries(text.split('\n').filter((line) => line.includes('=')).map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));

test('a system gets its own addresses, its routes, its name server and its domain', { timeout: patient(120_000) }, async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ mtu: 1400 });
  for (const kind of ['tap', 'veth'] as const) {
    const station = await asking(lab, plan, kind);
    const four = await lease(lab, station);
    assert.equal(four?.['ip'], station.port.ipv4);
    assert.equal(four['router'], plan.ipv4.gateway);
    assert.equal(four['dns'], plan.ipv4.gateway);
    assert.equal(four['domain'], 'default.berth');
    assert.equal(Number(four['mask']), plan.ipv4.prefixLength);
    const six = await lease6(lab, station);
    assert.equal(six['new_ip6_address'], station.port.ipv6);
    assert.equal(six['new_dhcp6_name_servers'], plan.ipv6.gateway);
    const route = await until(async () => (await lab.at(station, ['ip', '-6', 'route', 'show', 'default', 'proto', 'ra'])).stdout || undefined, { what: 'a route by router advertisement', deadlineMs: 30_000 });
    assert.match(route, /^default via fe80::/);
    // Addresses come by DHCPv6 alone: nobody makes himself one that the port's rules would not let out.
    assert.doesNotMatch((await lab.at(station, ['ip', '-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'global'])).stdout, /inet6/);
  }
});

test('an internal network gives addresses and no way out', { timeout: patient(60_000) }, async () => {
  await using lab = await NetworkLab.open();
  const station = await asking(lab, await lab.network({ internal: true }));
  const four = await lease(lab, station);
  assert.equal(four?.['ip'], station.port.ipv4);
  assert.equal(four['router'], undefined);
});

test('ports come and go under the same server; what one had is another’s at once', { timeout: patient(60_000) }, async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const pid = fs.readFileSync(path.join(lab.options.runDir, 'networks', plan.id, 'pid'), 'utf8');
  const first = await asking(lab, plan);
  assert.equal((await lease(lab, first))?.['ip'], first.port.ipv4);
  await lab.driver.release(undefined, [first.port]);
  const heir = await forget(lab, await lab.station(plan, 'tap', { dhcp: true, ipv4: first.port.ipv4, ipv6: first.port.ipv6 }));
  assert.equal((await lease(lab, heir))?.['ip'], first.port.ipv4);
  // The daemon's successor finds what is there.
  await lab.restart();
  await lab.driver.ensureNetwork(plan);
  await lab.driver.adopt(undefined, [heir.port]);
  const files = path.join(lab.options.runDir, 'networks', plan.id, 'ports');
  assert.deepEqual(fs.readdirSync(files), [heir.port.portId]);
  await lab.driver.release(undefined, [heir.port]);
  assert.deepEqual(fs.readdirSync(files), []);
  const last = await asking(lab, plan);
  assert.equal((await lease(lab, last))?.['ip'], last.port.ipv4);
  assert.equal(fs.readFileSync(path.join(lab.options.runDir, 'networks', plan.id, 'pid'), 'utf8'), pid);
});

test('F11: who was set up from outside is answered nothing, and what a system calls itself is nobody’s name', { timeout: patient(60_000) }, async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const system = await asking(lab, plan);
  assert.equal((await lease(lab, system, '-x', 'hostname:victim'))?.['ip'], system.port.ipv4);
  for (const [key, value] of [['addr', `${system.port.ipv4}/${plan.ipv4.prefixLength}`], ['route', 'default']] as const) await lab.at(system, ['ip', key, 'replace', value, ...(key === 'addr' ? ['dev', 'eth0'] : ['via', plan.ipv4.gateway])]);
  const answer = (await lab.at(system, ['busybox', 'nslookup', 'victim', plan.ipv4.gateway])).stdout;
  assert.match(answer, /can't find victim: NXDOMAIN/);
  assert.doesNotMatch(answer, new RegExp(system.port.ipv4));
  // The port's rules stop a request; without them the server still knows nobody of that name.
  for (const open of [false, true]) {
    await using other = await NetworkLab.open({ guardsLeftOut: new Set(open ? ['dhcp-client'] : []) });
    assert.equal(await lease(other, await forget(other, await other.station(await other.network(), 'veth')), '-t', '2', '-T', '1'), undefined);
  }
});

for (const open of [false, true]) {
  test(open ? 'F03: without its guard an advertisement of the gateway does reach who did not ask' : 'F03: advertisements of the gateway reach those alone who ask', { timeout: patient(60_000) }, async () => {
    await using lab = await NetworkLab.open({ guardsLeftOut: new Set(open ? ['unasked-advertisement'] : []) });
    const plan = await lab.network();
    const silent = await lab.station(plan, 'veth'), system = await asking(lab, plan);
    const solicit = ({ port }: Station): string => {
      const from = linkLocalOf(port.mac);
      return ethernet('33:33:00:00:00:02', port.mac, 0x86dd, ipv6(from, 'ff02::2', 58, 255, icmpv6(from, 'ff02::2', 133, Buffer.alloc(4))));
    };
    const capture = await silent.capture();
    await silent.send([solicit(silent)]);
    // They are answered one after the other.
    await system.send([solicit(system)]);
    await until(async () => (await lab.at(system, ['ip', '-6', 'route', 'show', 'default', 'proto', 'ra'])).stdout !== '', { what: 'the answer', deadlineMs: 20_000 });
    const marker = ethernet(silent.port.mac, system.port.mac, 0x0800, ipv4(system.port.ipv4, silent.port.ipv4, 17, udp(system.port.ipv4, silent.port.ipv4, 5000, 5001, 'marker')));
    await system.send([marker]);
    // Ethernet, IPv6, its next header, the type of the message.
    assert.equal((await capture.until(marker)).some((frame) => frame.slice(24, 28) === '86dd' && frame.slice(40, 42) === '3a' && frame.slice(108, 110) === '86'), open);
  });

  test(open ? 'F07: without its guard another DHCP server of the host is reached' : 'F07: another DHCP server of the host is out of reach', { timeout: patient(60_000) }, async () => {
    await using lab = await NetworkLab.open({ guardsLeftOut: new Set(open ? ['dhcp-elsewhere'] : []) });
    const plan = await lab.network(), lan = await lab.neighbour();
    const station = await lab.station(plan, 'tap');
    await lab.serve(undefined, 'udp', lan.here4, 67);
    const ask = `const s = require('node:dgram').createSocket('udp4'); const again = setInterval(() => s.send('x', 67, '${lan.here4}'), 200);
      s.on('message', () => { console.log('answered'); process.exit(); }); setTimeout(() => process.exit(), ${open ? 10_000 : 1_500}); s.bind(68, '${station.port.ipv4}', () => s.send('x', 67, '${lan.here4}'));`;
    assert.equal((await lab.at(station, [process.execPath, '-e', ask], 20_000)).stdout, open ? 'answered\n' : '');
  });
}
