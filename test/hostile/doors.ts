/** A3: the table of doors, run by a hostile server. */
import assert from 'node:assert/strict';
import { DOORS, FAULTS, hasDoor, publishExpiredKey, tryDoor } from '../support/doors.ts';
import type { Scene } from './attack.ts';

const VERSION = '11';

/** Events with each fault by each door that events come in by. */
export async function bringThroughAllDoors(scene: Scene): Promise<string> {
  const { evil: remote, alice, contentOf, meanwhile: settle } = scene;
  publishExpiredKey(remote, scene.clock.now());
  const doors = DOORS.filter((door) => hasDoor(door, VERSION));
  for (const door of doors) {
    for (const fault of FAULTS) await tryDoor({ remote, alice, contentOf, settle }, door, VERSION, fault);
  }
  assert.equal(typeof (await alice.sync()).next_batch, 'string');
  return `${doors.length} doors with ${FAULTS.length} kinds of events each: whole, redacted or gone, the same by all`;
}
