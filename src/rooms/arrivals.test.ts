/** Batches of events from elsewhere: which of them become tips of the room, and when. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BOB, engineScene, forge } from '../../test/threats/forge.ts';
import type { UserId } from '../core/ids.ts';
import type { Pdu } from '../core/pdu.ts';
import { ALICE, sayDraft, stateDraft } from '../testing/engine.ts';

/**
 * A room in which Bob was banned and is back. State resolution of room version 1 goes by depth alone: the ban, had it its
 * say once more, would win over the join behind it.
 */
async function scene(t: TestContext) {
  const parts = await engineScene(t, '1');
  const { rooms, roomId, live } = parts;
  const member = async (sender: UserId, membership: string) =>
    (await rooms.send(roomId, [stateDraft(sender, 'm.room.member', BOB, { membership })]))[0]!;
  const ban = await member(ALICE, 'ban');
  await member(ALICE, 'leave');
  const back = await member(BOB, 'join');
  return {
    back,
    old: await forge(parts, live, [ban], sayDraft(ALICE, 'said while Bob was banned')),
    bobSays: await forge(parts, live, [back], sayDraft(BOB, 'I am back')),
    /** An event behind others that are not stored yet. */
    after: (sender: UserId, ...prev: readonly Pick<Pdu, 'eventId'>[]) =>
      forge(parts, live, [back], sayDraft(sender, 'together'), { prevEvents: prev.map(({ eventId }) => eventId) }),
    tips: () => [...live.extremities.keys()],
    append: async (...pdus: Pdu[]) =>
      (
        await rooms.append(
          roomId,
          pdus.map((pdu) => ({ pdu, kind: 'live' })),
        )
      ).map(({ standing }) => standing),
  };
}

test('old history that a later event of its batch follows is no tip meanwhile: nobody is judged by the state at it', async (t) => {
  const { old, bobSays, after, append, tips } = await scene(t);
  const both = await after(ALICE, bobSays, old);

  assert.deepEqual(await append(old, bobSays, both), ['ok', 'ok', 'ok']);
  assert.deepEqual(tips(), [both.eventId]);
});

test('old history that comes by itself is a tip, and what does not stand with it is soft-failed', async (t) => {
  const { old, back, bobSays, append, tips } = await scene(t);

  assert.deepEqual(await append(old, bobSays), ['ok', 'soft-failed']);
  assert.deepEqual(tips(), [back.eventId, old.eventId]);
});

test('old history is a tip after all where what was to follow it is turned down', async (t) => {
  const { old, back, after, append, tips } = await scene(t);
  const stranger = await after('@mallory:elsewhere.org' as UserId, back, old);

  assert.deepEqual(await append(old, stranger), ['ok', 'rejected']);
  assert.deepEqual(tips(), [back.eventId, old.eventId]);
});

test('what follows a tip is the tip at once, though more of its batch follows it', async (t) => {
  const { bobSays, after, append, tips } = await scene(t);
  const next = await after(ALICE, bobSays);
  const last = await after(BOB, next);

  assert.deepEqual(await append(bobSays, next, last), ['ok', 'ok', 'ok']);
  assert.deepEqual(tips(), [last.eventId]);
});

test('of old history in a chain only the end of what was taken in waits, and becomes the tip', async (t) => {
  const { old, back, after, append, tips } = await scene(t);
  const older = await after(ALICE, old);
  const stranger = await after('@mallory:elsewhere.org' as UserId, back, older);

  assert.deepEqual(await append(old, older, stranger), ['ok', 'ok', 'rejected']);
  assert.deepEqual(tips(), [back.eventId, older.eventId]);
});

test('a redaction that comes before what it redacts takes effect, in one batch and in the next one', async (t) => {
  const parts = await engineScene(t, '11');
  const { rooms, roomId, live, events } = parts;
  const dan = '@dan:elsewhere.org' as UserId;
  const append = (...pdus: Pdu[]) =>
    rooms.append(
      roomId,
      pdus.map((pdu) => ({ pdu, kind: 'live' })),
    );
  const isRedacted = async ({ eventId }: Pdu) => (await events.findById(eventId))?.isRedacted;
  const tip = (await events.findById([...live.extremities.keys()][0]!))!;
  const join = await forge(parts, live, [tip], stateDraft(dan, 'm.room.member', dan, { membership: 'join' }));
  await append(join);
  const joined = (await events.findById(join.eventId))!;
  const says = (body: string) => forge(parts, live, [joined], sayDraft(dan, body));
  const takesBack = ({ eventId: redacts }: Pdu) =>
    forge(parts, live, [joined], {
      type: 'm.room.redaction',
      stateKey: null,
      sender: dan,
      content: { redacts },
      redacts,
    });

  const one = await says('one');
  await append(await takesBack(one), one);
  assert.equal(await isRedacted(one), true);

  const other = await says('other');
  const redaction = await takesBack(other);
  // The second batch is prepared while the first one is on its way to the disk.
  await Promise.all([append(redaction), append(other)]);
  assert.equal(await isRedacted(other), true);
});
