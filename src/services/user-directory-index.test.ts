import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabase } from '../../test/support/engine-database.ts';
import { forge } from '../../test/threats/forge.ts';
import { serverNameOf, type UserId } from '../core/ids.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { silentLog } from '../kit/log.ts';
import { ALICE, publicRoomDrafts, SERVER_NAME, startEngine, stateDraft } from '../testing/engine.ts';
import { UserDirectory } from './user-directory.ts';
import { UserDirectoryIndex } from './user-directory-index.ts';

const ZOE = '@zoe-r:elsewhere.org' as UserId;

forEachDatabase((database) => {
  /** A room of Alice's that Zoe of another server has joined under the name of Zoe Remote. */
  async function scene(t: { after(done: () => unknown): void }) {
    const db = await engineDatabase(t, database);
    const engine = await startEngine(db);
    const made = await engine.rooms.create(findRoomRules('11')!, publicRoomDrafts('11'));
    const { roomId } = made[0]!.pdu;
    const live = await engine.rooms.get(roomId);
    const isLocal = (userId: UserId): boolean => serverNameOf(userId) === SERVER_NAME;
    const index = new UserDirectoryIndex({ db, ...engine, log: silentLog, isLocal });
    t.after(() => index.stop());
    const config = { isEnabled: true, searchAllUsers: false, preferLocalUsers: false, showLockedUsers: false };
    const directory = new UserDirectory({
      db,
      serverName: SERVER_NAME,
      index,
      config: { ...config, excludeRemoteUsers: false },
    });
    const join = stateDraft(ZOE, 'm.room.member', ZOE, { membership: 'join', displayname: 'Zoe Remote' });
    await engine.rooms.append(roomId, [{ pdu: await forge(engine, live, [made.at(-1)!], join), kind: 'live' }]);
    const setRule = (rule: string) =>
      engine.rooms.send(roomId, [stateDraft(ALICE, 'm.room.join_rules', '', { join_rule: rule })]);
    const find = async (term: string) =>
      (await directory.search(ALICE, term)).users.map(({ userId, displayName }) => [userId, displayName]);
    return { setRule, find };
  }

  test('a user of another server is found by the name that an open room shows', async (t) => {
    const { find } = await scene(t);

    assert.deepEqual(await find('remote'), [[ZOE, 'Zoe Remote']]);
    assert.deepEqual(await find('@zoe-r:else'), [[ZOE, 'Zoe Remote']]);
  });

  test('from a room that is not open to all only the ID is known, until the room opens', async (t) => {
    const { find, setRule } = await scene(t);
    await setRule('invite');

    assert.deepEqual(await find('remote'), []);
    assert.deepEqual(await find('zoe'), [[ZOE, null]]);
    await setRule('public');
    assert.deepEqual(await find('remote'), [[ZOE, 'Zoe Remote']]);
  });
});
