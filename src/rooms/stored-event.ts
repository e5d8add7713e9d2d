/** An event as the engine holds it: its row, its PDU, and what is made of it once and kept. */
import { clientEventBaseText } from '../core/client-event.ts';
import type { EventId } from '../core/ids.ts';
import { canonicalJson, parseJson } from '../core/json.ts';
import { isJsonObject } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { pduFromStored } from '../core/pdu-format.ts';
import { redact, redactContent } from '../core/redaction.ts';
import { type Relation, relationOf } from '../core/relation.ts';
import type { RoomRules } from '../core/room-versions.ts';
import type { EventRow } from '../storage/events.ts';

/** In place of a reason: an event of a room that this server was not in when it came. Nobody has judged it. */
export const OUT_OF_BAND = 'out of band';

/** An event that only joins tips of the graph. Clients never see it, and nobody is told of it but by what follows it. */
export const DUMMY_EVENT_TYPE = 'org.matrix.dummy_event';

export class StoredEvent {
  readonly row: EventRow;
  readonly pdu: Pdu;
  readonly rules: RoomRules;
  #base: string | null = null;

  constructor(rules: RoomRules, row: EventRow, pdu: Pdu) {
    this.rules = rules;
    this.row = row;
    this.pdu = pdu;
  }

  /** Reads an event back from its row. */
  static fromRow(rules: RoomRules, row: EventRow): StoredEvent {
    const json = parseJson(row.json, { keepNumberText: !rules.enforcesCanonicalJson });
    if (!isJsonObject(json)) throw new Error(`The event ${row.eventId} is stored as something else than an object.`);
    return new StoredEvent(rules, row, pduFromStored(rules, row.eventId, json));
  }

  get eventNo(): number {
    return this.row.eventNo;
  }

  get eventId(): EventId {
    return this.row.eventId;
  }

  /**
   * The place in the room's history. Of an event without one, when it was told: out of band, or in the state that another
   * server told, which may say anything of our users' memberships (threat A10).
   */
  get position(): number {
    return this.isOutOfBand ? this.row.eventNo : (this.row.position ?? this.row.eventNo);
  }

  get isState(): boolean {
    return this.pdu.stateKey !== null;
  }

  get isRedacted(): boolean {
    return this.row.redactedByNo !== null;
  }

  /** Shown to clients: in the timeline, neither rejected nor soft-failed, and not only there for the graph. */
  get isShown(): boolean {
    return this.row.standing === 'ok' && this.row.position !== null && this.pdu.type !== DUMMY_EVENT_TYPE;
  }

  /** Whether it came for a room that this server was not in, and was not judged since. */
  get isOutOfBand(): boolean {
    return this.row.position === null && this.row.standing === 'ok' && this.row.reason === OUT_OF_BAND;
  }

  /** What it relates to; null for nothing, also once it is redacted. */
  get relation(): Relation | null {
    return this.isRedacted ? null : relationOf(this.pdu.content);
  }

  /** The client form without `unsigned` and `room_id`, as JSON text; made once. */
  get clientBase(): string {
    this.#base ??= clientEventBaseText(this.rules, this.pdu, this.isRedacted);
    return this.#base;
  }

  /** The same event with other facts about it: a place, a redaction. */
  with(change: Partial<EventRow>): StoredEvent {
    return new StoredEvent(this.rules, { ...this.row, ...change }, this.pdu);
  }

  /** The same event for a reader who is not to know what it says. */
  asRedacted(): StoredEvent {
    const { pdu } = this;
    return new StoredEvent(this.rules, this.row, { ...pdu, content: redactContent(this.rules, pdu.type, pdu.content) });
  }

  /** The form in which servers exchange it, as JSON text: redacted once it was redacted, and for whom it is hidden from. */
  wireText({ isHidden }: { readonly isHidden: boolean } = { isHidden: false }): string {
    if (!isHidden && !this.isRedacted) return this.row.json;
    return canonicalJson(redact(this.rules, this.pdu.json), { strict: false });
  }

  /** About how many bytes of memory it holds. */
  get sizeBytes(): number {
    return 2000 + this.row.json.length * 5;
  }
}
