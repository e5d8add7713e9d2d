/**
 * Memberships of local users in rooms that this server is not in: invites and knocks, what was told of the room with
 * them, and leaving them again. Such an event rests on events that we do not have: it is kept unjudged, as an outlier,
 * and judged when the server joins.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
import { referenceHash } from '../core/event-hash.ts';
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { buildPdu, depthAfter } from '../core/pdu-format.ts';
import type { RoomRules } from '../core/room-versions.ts';
import type { Membership } from '../storage/room-state.ts';
import { deleteStrippedState, upsertStrippedState } from '../storage/stripped-states.ts';
import type { AppendDeps } from './append.ts';
import type { RoomWork } from './room-work.ts';
import { OUT_OF_BAND, StoredEvent } from './stored-event.ts';

/** A member event of a local user in a room that this server is not in. Form, signatures and hash are checked already. */
export type OutOfBandMembership = {
  readonly roomId: RoomId;
  readonly rules: RoomRules;
  readonly pdu: Pdu;
  /** Stripped state that came with an invite, or with the answer to a knock; null for a leave. */
  readonly strippedState: readonly JsonObject[] | null;
};

/**
 * Stores the event and makes it the user's membership. `replacesNo` is the member event that said what the user was
 * before.
 */
export function receiveOutOfBand(
  work: RoomWork,
  { pdu, strippedState }: OutOfBandMembership,
  replacesNo: number | null,
): void {
  const { live } = work;
  const position = work.issue();
  // The caller made sure that the state key is a local user.
  const userId = pdu.stateKey as UserId;
  const event = new StoredEvent(
    live.rules,
    {
      ...work.row({ eventId: pdu.eventId, depth: pdu.depth, json: JSON.stringify(pdu.json) }, position),
      position: null,
      reason: OUT_OF_BAND,
      replacesNo,
    },
    pdu,
  );
  work.insertAside(event);
  work.setMembership(userId, event, pdu.content['membership'] as Membership, position);
  work.statements.push(
    strippedState === null
      ? deleteStrippedState(live.roomNo, userId)
      : upsertStrippedState(live.roomNo, userId, JSON.stringify(strippedState)),
  );
}

/** A leave of our own making, for an invite or knock that no other server takes back for us. */
export function buildOutOfBandLeave(deps: AppendDeps, rules: RoomRules, roomId: RoomId, from: StoredEvent): Pdu {
  const { pdu } = from;
  const userId = pdu.stateKey as UserId;
  const pairs = rules.hasEventReferencePairs
    ? {
        eventId: `$${deps.random.text(18)}:${deps.serverName}` as EventId,
        referenceHashes: new Map([[pdu.eventId, referenceHash(rules, pdu.json)]]),
      }
    : {};
  return buildPdu(
    rules,
    {
      roomId,
      type: 'm.room.member',
      stateKey: userId,
      sender: userId,
      content: { membership: 'leave' },
      redacts: null,
      originServerTs: deps.clock.now(),
      depth: depthAfter(rules, [pdu.depth]),
      prevEvents: [pdu.eventId],
      authEvents: [pdu.eventId],
      ...pairs,
    },
    deps.serverName,
    deps.signingKey,
  ).pdu;
}
