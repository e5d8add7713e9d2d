/**
 * What invited and knocking users are shown of a room, on this server and on others.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
import type { Config } from '../config/config.ts';
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { redact } from '../core/redaction.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { StoredEvent } from './stored-event.ts';

const CREATE = 'm.room.create';
const DEFAULT_TYPES = [
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.avatar',
  'm.room.encryption',
  'm.room.name',
  'm.room.topic',
];
/** A configured type without a state key can stand for any number of events. */
const EVENTS_MAX = 100;

export class PrejoinState {
  readonly #events: EventStore;
  readonly #config: Pick<Config['rooms'], 'disableDefaultPrejoinState' | 'additionalPrejoinState'>;

  constructor(deps: {
    events: EventStore;
    config: Pick<Config['rooms'], 'disableDefaultPrejoinState' | 'additionalPrejoinState'>;
  }) {
    this.#events = deps.events;
    this.#config = deps.config;
  }

  /** The events in the form in which servers exchange them. */
  async of(live: LiveRoom, inviter: UserId | null): Promise<JsonObject[]> {
    return (await this.events(live, inviter)).map(wireFormOf);
  }

  /**
   * The create event (MSC4311), what the configuration says (`room_prejoin_state`), and the member event of whoever
   * invites.
   */
  events(live: LiveRoom, inviter: UserId | null): Promise<StoredEvent[]> {
    const { disableDefaultPrejoinState, additionalPrejoinState } = this.#config;
    const eventNos = new Set<number>();
    const add = (type: string, stateKey: string): void => {
      const eventNo = live.currentNo(type, stateKey);
      if (eventNo !== null && eventNos.size < EVENTS_MAX) eventNos.add(eventNo);
    };
    add(CREATE, '');
    if (!disableDefaultPrejoinState) for (const type of DEFAULT_TYPES) add(type, '');
    if (inviter !== null) add('m.room.member', inviter);
    for (const wanted of additionalPrejoinState) {
      if (wanted.stateKey !== null) add(wanted.type, wanted.stateKey);
      else for (const { type, stateKey } of live.keys) if (type === wanted.type) add(type, stateKey);
    }
    return this.#events.list([...eventNos]);
  }
}

const wireFormOf = ({ rules, pdu, isRedacted }: StoredEvent): JsonObject =>
  isRedacted ? redact(rules, pdu.json) : pdu.json;
