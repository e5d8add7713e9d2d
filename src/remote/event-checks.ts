/**
 * The one check of events that other servers hand us, by whatever door: transactions, backfill, missing events, states,
 * auth chains, joins, invites (threat A3). What it lets through is signed by all who must sign it.
 */
import { checkEvent, type EventVerdict, findCoarseFault, type KnownKey, listKeys } from '../core/event-check.ts';
import { without } from '../core/event-hash.ts';
import type { EventId, RoomId } from '../core/ids.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { pduFromStored } from '../core/pdu-format.ts';
import { redact } from '../core/redaction.ts';
import type { RoomRules } from '../core/room-versions.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { EventToCheck } from '../workers/event-check-protocol.ts';
import type { EventCheckThreads } from '../workers/event-check-threads.ts';
import type { KeyAsk, Keyring } from './keyring.ts';

/** An event that may go on to its room's rules; or why it may not. */
export type CheckedEvent =
  /** `isRedacted`: its content hash was wrong, and `pdu` is its redacted form. */
  | { readonly pdu: Pdu; readonly isRedacted: boolean }
  /** `eventId` null: it is not even known which event this is. */
  | { readonly eventId: EventId | null; readonly refusal: string };

export type EventChecksDeps = {
  readonly keys: Pick<Keyring, 'publicKeys'>;
  readonly threads: Pick<EventCheckThreads, 'check'>;
};

/** So many are checked faster here than in a thread: each costs 0.15 ms, and the way to a thread and back 0.2 ms. */
const HERE_MAX = 4;
/** What is done at one go: some milliseconds in a thread, and well below one here. */
const CHUNK = 32;
const CHUNKS_AT_ONCE = 16;

type Item = { readonly index: number; readonly wire: JsonObject };
type Verdicts = AsyncIterable<EventVerdict>;

export class EventChecks {
  readonly #deps: EventChecksDeps;

  constructor(deps: EventChecksDeps) {
    this.#deps = deps;
  }

  /**
   * Checks events, which must have been parsed with `keepNumberText`; the answers come in their order. With `roomId`,
   * events of other rooms are refused (threat A5). Keys that are missing are asked for, which may take seconds.
   */
  async check(
    rules: RoomRules,
    wires: readonly JsonValue[],
    { roomId }: { readonly roomId?: RoomId } = {},
  ): Promise<CheckedEvent[]> {
    const checked: CheckedEvent[] = [];
    const items: Item[] = [];
    for (const [index, wire] of wires.entries()) {
      if (index % CHUNK === CHUNK - 1) await nextTurn();
      const fault = findCoarseFault(rules, wire);
      // The coarse check says that it is an object. No signature covers `unsigned`.
      if (fault === null) items.push({ index, wire: without(wire as JsonObject, ['unsigned']) });
      else checked[index] = { eventId: null, refusal: fault };
    }
    const keys = await this.#keysOf(rules, items);
    const verdicts = items.length > HERE_MAX ? this.#inThreads(rules, items, keys) : this.#here(rules, items, keys);
    let done = 0;
    for await (const verdict of verdicts) {
      if (done % CHUNK === CHUNK - 1) await nextTurn();
      const { index, wire } = items[done++]!;
      checked[index] = toChecked(rules, wire, verdict, roomId);
    }
    return checked;
  }

  /** The keys that are known of those that each item is signed with: all are asked for at once. */
  async #keysOf(rules: RoomRules, items: readonly Item[]): Promise<KnownKey[][]> {
    const asks: (KeyAsk & { readonly item: number })[] = [];
    for (const [item, { wire }] of items.entries()) {
      if (item % CHUNK === CHUNK - 1) await nextTurn();
      const atMs = rules.enforcesKeyValidity ? timeOf(wire) : null;
      for (const { serverName, keyId } of listKeys(rules, wire)) asks.push({ item, serverName, keyId, atMs });
    }
    const found = await this.#deps.keys.publicKeys(asks);
    const known: KnownKey[][] = items.map(() => []);
    for (const [index, { item, serverName, keyId }] of asks.entries()) {
      const publicKey = found[index] ?? null;
      if (publicKey !== null) known[item]!.push([serverName, keyId, publicKey]);
    }
    return known;
  }

  async *#here(rules: RoomRules, items: readonly Item[], keys: readonly KnownKey[][]): Verdicts {
    for (const [index, { wire }] of items.entries()) {
      if (index > 0) await nextTurn();
      yield checkEvent(rules, wire, keys[index]!);
    }
  }

  async *#inThreads(rules: RoomRules, items: readonly Item[], keys: readonly KnownKey[][]): Verdicts {
    const running: Promise<readonly EventVerdict[]>[] = [];
    for (let from = 0; from < items.length; from += CHUNK) {
      if (from > 0) await nextTurn();
      const events = items
        .slice(from, from + CHUNK)
        .map(({ wire }, index): EventToCheck => [JSON.stringify(wire), keys[from + index]!]);
      const chunk = this.#deps.threads.check(rules.version, events);
      // Awaited in order below: one that fails before its turn is no failure that nobody looks at.
      chunk.catch(() => {});
      running.push(chunk);
      // The texts of a large room's state must not all lie in memory at once.
      if (running.length === CHUNKS_AT_ONCE) yield* await running.shift()!;
    }
    for (const chunk of running) yield* await chunk;
  }
}

/** When an event says that it was sent. A number that was kept as text is further away than any key reaches. */
function timeOf({ origin_server_ts: said }: JsonObject): number {
  return typeof said === 'number' ? said : Number.MAX_SAFE_INTEGER;
}

function toChecked(
  rules: RoomRules,
  wire: JsonObject,
  verdict: EventVerdict,
  roomId: RoomId | undefined,
): CheckedEvent {
  if ('refusal' in verdict) return verdict;
  const { eventId, isRedacted } = verdict;
  const pdu = pduFromStored(rules, eventId, isRedacted ? redact(rules, wire) : wire);
  if (roomId !== undefined && pdu.roomId !== roomId) return { eventId, refusal: 'the event is one of another room' };
  return { pdu, isRedacted };
}
