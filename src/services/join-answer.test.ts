import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RoomId, ServerName, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { RemoteError } from '../remote/remote-error.ts';
import { JoinAnswer, type JoinAsk, RoomTooLarge } from './join-answer.ts';
import type { Offer } from './remote-handshake.ts';

const offer: Offer = {
  rules: findRoomRules('11')!,
  // Only the room counts here.
  event: { roomId: '!room:far.org' as RoomId, sender: '@dora:local.org' as UserId } as Pdu,
  needsTheirSignature: false,
};
const ASK: JoinAsk = {
  resident: 'far.org' as ServerName,
  omitsMembers: false,
  stateMax: Number.POSITIVE_INFINITY,
  known: async () => new Map(),
};
const event: JsonObject = { type: 'm.room.member' };

test('C7: an answer with more events than any room has is cut off', async () => {
  const answer = new JoinAnswer({ check: async () => [] }, offer, ASK);
  let taken = 0;

  await assert.rejects(
    async () => {
      for (; taken < 2_000_000; taken++) {
        const room = answer.take(taken % 2 === 0 ? 'state' : 'auth_chain', event);
        if (room !== undefined) await room;
      }
    },
    (error) => error instanceof RemoteError && error.fault === 'bad-reply',
  );
  assert.equal(taken, 1_000_000);
});

test('C7: an answer that comes faster than it is checked is held up', async () => {
  const free: (() => void)[] = [];
  const check = () => new Promise<[]>((resolve) => free.push(() => resolve([])));
  const answer = new JoinAnswer({ check }, offer, ASK);

  let taken = 1;
  let held = answer.take('state', event);
  for (; held === undefined; taken++) held = answer.take('state', event);

  assert.equal(taken, 2000);
  let goesOn = false;
  void held.then(() => {
    goesOn = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(goesOn, false);
  free[0]!();
  await held;
});

test('a check that fails ends the answer, and so does more state than is wanted', async () => {
  const failing = new JoinAnswer({ check: () => Promise.reject(new Error('The thread died.')) }, offer, ASK);
  const small = new JoinAnswer({ check: async () => [] }, offer, { ...ASK, stateMax: 2 });

  failing.take('state', event);
  await assert.rejects(failing.end({}), /The thread died/);
  small.take('state', event);
  small.take('auth_chain', event);
  small.take('state', event);
  assert.throws(() => small.take('state', event), RoomTooLarge);
});
