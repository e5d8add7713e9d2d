/** What end-to-end encryption needs of two servers: keys, device lists, cross-signing and messages to devices. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from '../../src/core/json-value.ts';
import { signJson } from '../../src/core/signing.ts';
import { succeeded, type TestUser } from '../../src/testing/test-client.ts';
import { crossSigningSet, publishKeys } from '../support/device-keys.ts';
import { eventually, joinAway, publicRoom, type Scene, type Stage } from './scene.ts';

type Json = ReturnType<typeof JSON.parse>;

const ENCRYPTION = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } };

const keysOf = async (asker: TestUser, userId: string): Promise<Json> =>
  succeeded(await asker.post('/v3/keys/query', { device_keys: { [userId]: [] } }));

/** Syncs on until a user is told as changed and a look at their keys gives something. */
async function untilTold(
  asker: TestUser,
  userId: string,
  since: string,
  look: (keys: Json) => boolean,
): Promise<string> {
  let place = since;
  let isTold = false;
  return eventually(`${userId} is told as changed, and the keys are the new ones`, async () => {
    const sync: Json = await asker.sync(place, { timeout: 500 });
    place = sync.next_batch;
    isTold ||= sync.device_lists?.changed?.includes(userId) === true;
    return isTold && look(await keysOf(asker, userId)) ? place : null;
  });
}

const signersOf = (json: JsonObject | undefined): string[] =>
  Object.values((json?.['signatures'] ?? {}) as Record<string, object>).flatMap((each) => Object.keys(each));

async function encryptedRoom(stage: Stage): Promise<void> {
  await joinAway(stage, await publicRoom(stage, { initial_state: [ENCRYPTION] }));
}

const bothWays = ({ alice, bob }: Stage) =>
  [
    [alice, bob],
    [bob, alice],
  ] as const;

export const encryption: readonly Scene[] = [
  {
    name: 'keys of devices are told and given out, and changes follow',
    once: true,
    async play(stage) {
      const identities = new Map([
        [stage.alice.userId, await publishKeys(stage.alice, ['ONE', 'TWO'])],
        [stage.bob.userId, await publishKeys(stage.bob, ['ONE', 'TWO'])],
      ]);
      await encryptedRoom(stage);
      for (const [asker, other] of bothWays(stage)) {
        const since = (await asker.sync()).next_batch;
        const device = (keys: Json): JsonObject | undefined => keys.device_keys[other.userId]?.[other.deviceId];
        const first = device(await keysOf(asker, other.userId));
        assert.deepEqual(first?.['keys'], identities.get(other.userId)?.keys['keys']);
        const wanted = { one_time_keys: { [other.userId]: { [other.deviceId]: 'signed_curve25519' } } };
        const names = new Set<string>();
        for (let count = 0; count < 2; count++) {
          const given = succeeded(await asker.post('/v3/keys/claim', wanted)).one_time_keys[other.userId];
          for (const name of Object.keys(given[other.deviceId])) names.add(name);
        }
        assert.deepEqual(names, new Set(['signed_curve25519:ONE', 'signed_curve25519:TWO']));
        const anew = await publishKeys(other);
        await untilTold(asker, other.userId, since, (keys) => {
          return isDeepStrictEqual(device(keys)?.['keys'], anew.keys['keys']);
        });
      }
    },
  },
  {
    name: 'cross-signing keys and signatures are told',
    once: true,
    async play(stage) {
      const devices = new Map([
        [stage.alice.userId, await publishKeys(stage.alice)],
        [stage.bob.userId, await publishKeys(stage.bob)],
      ]);
      await encryptedRoom(stage);
      for (const [asker, other] of bothWays(stage)) {
        await keysOf(asker, other.userId);
        const since = (await asker.sync()).next_batch;
        const set = crossSigningSet(other.userId);
        succeeded(await other.post('/v3/keys/device_signing/upload', set.body));
        const signed = signJson(devices.get(other.userId)!.keys, other.userId, set.selfSigning.key);
        const body = { [other.userId]: { [other.deviceId]: signed } };
        assert.deepEqual(succeeded(await other.post('/v3/keys/signatures/upload', body)).failures, {});
        await untilTold(asker, other.userId, since, (keys) => {
          const device = keys.device_keys[other.userId]?.[other.deviceId];
          return (
            signersOf(device).includes(set.selfSigning.key.keyId) &&
            isDeepStrictEqual(keys.master_keys[other.userId]?.keys, set.master.json['keys'])
          );
        });
        assert.equal((await keysOf(asker, other.userId)).user_signing_keys?.[other.userId], undefined);
      }
    },
  },
  {
    name: 'messages to devices, in order and once',
    once: true,
    async play(stage) {
      for (const [sender, receiver] of bothWays(stage)) {
        const since = (await receiver.sync()).next_batch;
        for (let n = 0; n < 5; n++) {
          const messages = { [receiver.userId]: { [n % 2 === 0 ? receiver.deviceId : '*']: { n } } };
          succeeded(await sender.put(`/v3/sendToDevice/m.test/${sender.transactionId()}`, { messages }));
        }
        const seen: number[] = [];
        let place = since;
        await eventually('all five come', async () => {
          const sync: Json = await receiver.sync(place, { timeout: 500 });
          place = sync.next_batch;
          for (const event of sync.to_device?.events ?? []) if (event.type === 'm.test') seen.push(event.content.n);
          return seen.length >= 5;
        });
        assert.deepEqual(seen, [0, 1, 2, 3, 4]);
      }
    },
  },
];
