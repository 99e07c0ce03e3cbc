/**
 * F01–F05: what one member of an open network may not send to another. Each case runs with all guards, where the victim
 * must not see the frame, and without its guard, where it must: so that a case that proves nothing is found out.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { FORGERIES, shows, type Scene } from '../lib/forged-frames.ts';
import { arp, BROADCAST, ethernet, ipv4, udp } from '../lib/frames.ts';
import { NetworkLab } from '../lib/network-lab.ts';
import type { Station } from '../lib/network-lab.ts';

enterOwnNamespaces();

/** Sends the frame and then an honest one; what the victim saw before the honest one is all that it will see. */
async function seen(attacker: Station, victim: Station, frame: string, marker: string): Promise<boolean> {
  const capture = await victim.capture();
  await attacker.send([frame, marker]);
  return shows(await capture.until(marker), frame);
}

for (const kind of ['veth', 'tap'] as const) {
  for (const guard of [undefined, ...new Set(FORGERIES.map((one) => one.guard))]) {
    const cases = FORGERIES.filter((one) => guard === undefined || one.guard === guard);
    test(guard === undefined ? `between a ${kind} and a veth nothing forged arrives` : `without its guard ${guard} the forged frame does arrive (${kind})`, async (t) => {
      await using lab = await NetworkLab.open(guard === undefined ? {} : { guardsLeftOut: new Set([guard]) });
      const plan = await lab.network();
      const attacker = await lab.station(plan, kind);
      const victim = await lab.station(plan, 'veth');
      const scene: Scene = { attacker: attacker.port, victim: victim.port, third: lab.port(plan), gateway4: plan.ipv4.gateway, gateway6: plan.ipv6.gateway };
      let number = 0;
      for (const one of cases) {
        await t.test(one.name, async () => {
          const marker = ethernet(victim.port.mac, attacker.port.mac, 0x0800, ipv4(attacker.port.ipv4, victim.port.ipv4, 17, udp(attacker.port.ipv4, victim.port.ipv4, 5000, 5001, `marker ${number++}`)));
          assert.equal(await seen(attacker, victim, one.frame(scene), marker), guard !== undefined);
        });
      }
    });
  }
}

test('a forged frame teaches the bridge nothing: the victim’s traffic goes on to the victim', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const [attacker, victim, third] = [await lab.station(plan, 'tap'), await lab.station(plan, 'veth'), await lab.station(plan, 'veth')];
  assert.equal((await lab.at(third, ['ping', '-c1', '-W2', victim.port.ipv4])).code, 0);
  await attacker.send(Array.from({ length: 20 }, () => ethernet(BROADCAST, victim.port.mac, 0x0806, arp(1, victim.port.mac, victim.port.ipv4, '00:00:00:00:00:00', third.port.ipv4))));
  assert.equal((await lab.at(third, ['ping', '-c1', '-W2', victim.port.ipv4])).code, 0);
  assert.equal((await lab.at(third, ['ping', '-c1', '-W2', victim.port.ipv6])).code, 0);
});

test('a port whose facts are unknown may send nothing', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const station = await lab.station(plan, 'tap');
  assert.equal((await lab.at(station, ['ping', '-c1', '-W2', plan.ipv4.gateway])).code, 0);
  await lab.driver.release(undefined, [station.port]);
  assert.equal((await lab.at(station, ['ping', '-c1', '-W1', plan.ipv4.gateway])).code, 1);
});
