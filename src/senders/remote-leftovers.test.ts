/** What is kept of servers that nobody here has to do with is forgotten; what serves somebody stays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { databaseBeside, until } from '../../test/support/beside.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { playedRoom } from '../../test/support/played-room.ts';
import type { ServerName } from '../core/ids.ts';
import { handClock } from '../kit/clock.ts';
import { upsertServerKey, upsertServerKeyWord } from '../storage/server-keys.ts';
import { upsertServerPause } from '../storage/server-pauses.ts';
import { sql } from '../storage/sql.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { testServer } from '../testing/test-server.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

forEachDatabase((kind) => {
  test('keys of strangers, old words and old pauses are forgotten, those of servers in our rooms stay', async (t) => {
    const clock = handClock();
    const { database, open } = await databaseBeside(t, kind);
    const server = await testServer(t, { database, clock });
    const db = await open();
    const alice = await server.user('alice');
    const friend = await remoteServer(t, server, { name: 'friend.test' });
    await playedRoom(friend, alice);
    const nowMs = clock.now();
    const key = (serverName: string, keyId: string, validUntilMs: number) =>
      upsertServerKey({ serverName: serverName as ServerName, keyId, publicKey: keyId, validFromMs: 0, validUntilMs });
    const word = (serverName: string, validUntilMs: number) =>
      upsertServerKeyWord({ serverName: serverName as ServerName, word: '{}', validUntilMs });
    const pause = (serverName: string, pausedUntilMs: number) =>
      upsertServerPause({ serverName: serverName as ServerName, pausedUntilMs, pauseMs: 1 });
    await server.inspect((inside) =>
      inside.commit([
        key('stranger.test', 'ed25519:old', nowMs - 91 * DAY_MS),
        key('known.test', 'ed25519:old', nowMs - 91 * DAY_MS),
        key('known.test', 'ed25519:new', nowMs - 89 * DAY_MS),
        key('friend.test', 'ed25519:old', nowMs - 400 * DAY_MS),
        word('stranger.test', nowMs - 31 * DAY_MS),
        word('known.test', nowMs - 29 * DAY_MS),
        pause('waits.test', nowMs + DAY_MS),
      ]),
    );
    const names = async (): Promise<Record<string, string[]>> => {
      const of = async (rows: Promise<{ server_name: string }[]>) =>
        [...new Set((await rows).map((row) => row.server_name))].sort();
      return {
        keys: await of(db.all(sql`select server_name from server_keys`)),
        words: await of(db.all(sql`select server_name from server_key_words`)),
        pauses: await of(db.all(sql`select server_name from server_pauses`)),
      };
    };
    assert.deepEqual((await names())['keys'], ['friend.test', 'known.test', 'stranger.test']);

    clock.advance(HOUR_MS);
    await until(async () => (await names())['keys']!.length === 2);

    assert.deepEqual(await names(), {
      keys: ['friend.test', 'known.test'],
      words: ['friend.test', 'known.test'],
      pauses: ['waits.test'],
    });
    const forgotten = async () => (await names())['pauses']!.length === 0;
    for (let day = 0; day < 9; day++) clock.advance(DAY_MS);
    await until(async () => {
      clock.advance(HOUR_MS);
      return forgotten();
    });
  });
});
