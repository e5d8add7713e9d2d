/** A large public room as another server tells of it, for benches that join one: its state, and a join on top. */
import { authEventKeys } from '../../src/core/auth-events.ts';
import type { EventId, RoomId, UserId } from '../../src/core/ids.ts';
import { type Pdu, type StateKeyTuple, stateKeyTuple } from '../../src/core/pdu.ts';
import { buildPdu } from '../../src/core/pdu-format.ts';
import { findRoomRules, type RoomRules } from '../../src/core/room-versions.ts';
import { publicRoomDrafts, SIGNING_KEY } from '../../src/testing/engine.ts';

/** Who joins it: a user of `local.org`. */
export const DORA = '@dora:local.org' as UserId;

export class ToldRoom {
  readonly roomId = '!large:example.org' as RoomId;
  readonly rules: RoomRules = findRoomRules('11')!;
  readonly join: Pdu;
  readonly #state = new Map<StateKeyTuple, Pdu>();

  /** With as many members, each of whom came at the same point of the graph. */
  constructor(members: number, userOf: (number: number) => UserId) {
    let last: EventId[] = [];
    for (const { type, stateKey, sender, content } of publicRoomDrafts('11')) {
      const pdu = this.#build(type, stateKey!, sender, content, last);
      this.#state.set(stateKeyTuple(type, stateKey!), pdu);
      last = [pdu.eventId];
    }
    for (let number = 0; number < members; number++) {
      const pdu = this.member(userOf(number), { membership: 'join' }, last);
      this.#state.set(stateKeyTuple('m.room.member', userOf(number)), pdu);
    }
    this.join = this.member(DORA, { membership: 'join' }, last);
  }

  get state(): Pdu[] {
    return [...this.#state.values()];
  }

  /** What a server takes over that joins. */
  get adoption() {
    const { roomId, rules, join, state } = this;
    return { roomId, rules, state, authChain: state.slice(0, 4), join };
  }

  /** A member event by the member. */
  member(user: UserId, content: Pdu['content'], prevEvents: EventId[]): Pdu {
    return this.#build('m.room.member', user, user, content, prevEvents);
  }

  #build(type: string, stateKey: string, sender: UserId, content: Pdu['content'], prevEvents: EventId[]): Pdu {
    const { rules, roomId } = this;
    const authEvents: EventId[] = [];
    for (const [key, own] of authEventKeys(rules, { type, stateKey, sender, content })) {
      const auth = this.#state.get(stateKeyTuple(key, own));
      if (auth !== undefined) authEvents.push(auth.eventId);
    }
    const fields = { roomId, type, stateKey, sender, content, redacts: null, depth: 9, prevEvents, authEvents };
    return buildPdu(rules, { ...fields, originServerTs: 1 }, 'example.org', SIGNING_KEY).pdu;
  }
}
