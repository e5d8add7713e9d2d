/** Events with the same faults, by each door that events of other servers come in by. */
import { type TestContext, test } from 'node:test';
import type { RoomVersion } from '../../src/core/room-versions.ts';
import { handClock } from '../../src/kit/clock.ts';
import { remoteServer } from '../../src/testing/remote-server.ts';
import { type TestDatabaseKind, testServer } from '../../src/testing/test-server.ts';
import { contentBeside, databaseBeside } from '../support/beside.ts';
import { databaseNamed } from '../support/databases.ts';
import { DOORS, type DoorScene, FAULTS, hasDoor, publishExpiredKey, tryDoor } from '../support/doors.ts';

async function scene(t: TestContext, kind: TestDatabaseKind): Promise<DoorScene> {
  const clock = handClock();
  const { database, open } = await databaseBeside(t, kind);
  const server = await testServer(t, { clock, database });
  const remote = await remoteServer(t, server);
  publishExpiredKey(remote, clock.now());
  return { remote, alice: await server.user('alice'), contentOf: contentBeside(await open()) };
}

for (const door of DOORS) {
  for (const version of ['4', '11'] as RoomVersion[]) {
    if (!hasDoor(door, version)) continue;
    test(`faults of events by this door: ${door.name}, room version ${version} (A3)`, async (t) => {
      const parts = await scene(t, databaseNamed('sqlite'));
      for (const fault of FAULTS) await tryDoor(parts, door, version, fault);
    });
  }
}
