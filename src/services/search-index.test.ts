import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabase } from '../../test/support/engine-database.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { parseSearchTerm } from '../core/search-text.ts';
import { silentLog } from '../kit/log.ts';
import { listSearchEntries } from '../storage/search.ts';
import { ALICE, pduAfter, publicRoomDrafts, sayDraft, startEngine } from '../testing/engine.ts';
import { SearchIndex } from './search-index.ts';

forEachDatabase((database) => {
  async function scene(t: { after(done: () => unknown): void }) {
    const db = await engineDatabase(t, database);
    const engine = await startEngine(db);
    const made = await engine.rooms.create(findRoomRules('11')!, publicRoomDrafts('11'));
    const live = await engine.rooms.get(made[0]!.pdu.roomId);
    const index = new SearchIndex({ db, stream: engine.stream, clock: engine.clock, log: silentLog });
    t.after(() => index.stop());
    /** What the index holds of a word, up to now. */
    const entries = async (term: string): Promise<number[]> => {
      await index.upToDate();
      const { tokens } = parseSearchTerm(term);
      const ask = { tokens, roomNos: [live.roomNo], senders: null, withoutBodies: false };
      return (await listSearchEntries(db, { ...ask, beforeNo: Number.MAX_SAFE_INTEGER, limit: 10 })).entryNos;
    };
    const arrive = async (kind: 'live' | 'backfilled' | 'outlier', body: string) => {
      const pdu = await pduAfter(engine, live, [made.at(-1)!], sayDraft(ALICE, body));
      await engine.rooms.append(live.roomId, [{ pdu, kind }]);
      return pdu;
    };
    return { ...engine, live, entries, arrive };
  }

  test('history that is fetched later is indexed, before all that was said here', async (t) => {
    const { entries, arrive, rooms, live } = await scene(t);
    await rooms.send(live.roomId, [sayDraft(ALICE, 'tea today')]);
    assert.equal((await entries('tea')).length, 1);

    await arrive('backfilled', 'tea long ago');

    const [today, longAgo] = await entries('tea');
    assert.ok(today! > 0);
    assert.ok(longAgo! < 0);
  });

  test('what was kept aside is indexed once it has its place', async (t) => {
    const { entries, arrive, rooms, live } = await scene(t);
    const pdu = await arrive('outlier', 'tea aside');
    assert.deepEqual(await entries('tea'), []);

    await rooms.append(live.roomId, [{ pdu, kind: 'live' }]);

    assert.equal((await entries('tea')).length, 1);
  });
});
