/**
 * Transactions that other servers push: a verdict for each event, the same answer for the same transaction, and nothing
 * acknowledged that is not on disk.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import { LRUCache } from 'lru-cache';
import { type EventId, parseRoomId, type RoomId, type ServerName } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { digestInTurns } from '../http/json-in-turns.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { FetchBudget } from '../services/fetch-budget.ts';
import type { InboundEdus } from './edus.ts';
import type { InboundBounds } from './inbound-bounds.ts';
import type { ReceivedAnswers } from './received-answers.ts';
import { idOf, type Outcome, type RoomInbox } from './room-inbox.ts';
import type { Staging } from './staging.ts';

export type TransactionsDeps = {
  readonly answers: ReceivedAnswers;
  readonly clock: Clock;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly inbox: Pick<RoomInbox, 'receive'>;
  readonly staging: Staging;
  readonly edus: Pick<InboundEdus, 'receive'>;
  readonly bounds: InboundBounds;
  readonly count: (outcome: 'taken' | 'refused', events: number) => void;
  /** Told of all that a server pushes, once it is judged. */
  readonly onPdus: (origin: ServerName, pdus: readonly JsonValue[]) => void;
};

export type Transaction = { readonly pdus: readonly JsonValue[]; readonly edus: readonly JsonValue[] };

/** Results by event ID: empty, or with an `error`. */
export type TransactionReply = { readonly pdus: Record<string, JsonObject> };

/** How long the sender waits for events whose gaps are being filled; then they are written down and acknowledged. */
const ANSWER_AFTER_MS = 10_000;
/** Answers that are kept at hand; all of a day are on disk. */
const ANSWERS_MAX = 1000;

/** Of how many refused events of one transaction the log tells the reasons. */
const REFUSED_LOGGED_MAX = 5;

const NOT_JUDGED: Outcome = { eventId: null, error: 'It was not judged.', mayComeLater: true };

/** EDUs that say how something is: said once more, they change nothing. */
const STANDING = new Set<JsonValue | undefined>(['m.typing', 'm.receipt', 'm.presence']);
const mayComeAgain = (edu: JsonValue): boolean => !isJsonObject(edu) || STANDING.has(edu['edu_type']);

type Answer = { readonly digest: string; readonly reply: Promise<TransactionReply> };

export class Transactions {
  readonly #deps: TransactionsDeps;
  readonly #answers = new LRUCache<string, Answer>(atMost(ANSWERS_MAX));
  readonly #running = new Set<Promise<unknown>>();

  constructor(deps: TransactionsDeps) {
    this.#deps = deps;
  }

  /**
   * Takes in a transaction, once: whoever repeats it gets the first answer, also while that is still being found. Another
   * body under the same ID is another transaction (threat C6): its events would be lost otherwise.
   */
  async receive(origin: ServerName, txnId: string, transaction: Transaction): Promise<TransactionReply> {
    const key = `${origin}\0${txnId}`;
    const digest = await digestInTurns([transaction.pdus, transaction.edus]);
    const earlier = this.#answers.get(key);
    if (earlier?.digest === digest) return earlier.reply;
    const reply = this.#answer(origin, txnId, digest, transaction);
    this.#answers.set(key, { digest, reply });
    // What failed by a fault of ours is done anew when it is repeated.
    reply.catch(() => {
      if (this.#answers.get(key)?.reply === reply) this.#answers.delete(key);
    });
    return reply;
  }

  async #answer(
    origin: ServerName,
    txnId: string,
    digest: string,
    transaction: Transaction,
  ): Promise<TransactionReply> {
    const { answers, edus } = this.#deps;
    const earlier = await answers.find(origin, txnId, digest);
    // Written below, in this very shape.
    if (earlier !== null) return JSON.parse(earlier) as TransactionReply;
    const reply = { pdus: await this.#receivePdus(origin, transaction.pdus) };
    await edus.receive(origin, transaction.edus);
    answers.keep({ origin, txnId, digest, reply: JSON.stringify(reply) }, !transaction.edus.every(mayComeAgain));
    return reply;
  }

  async #receivePdus(origin: ServerName, wires: readonly JsonValue[]): Promise<Record<string, JsonObject>> {
    const byRoom = new Map<RoomId, JsonValue[]>();
    for (const wire of wires) {
      const roomId = isJsonObject(wire) ? parseRoomId(wire['room_id']) : null;
      // What names no room has no ID that an answer could name.
      if (roomId === null) continue;
      const ofRoom = byRoom.get(roomId);
      if (ofRoom === undefined) byRoom.set(roomId, [wire]);
      else ofRoom.push(wire);
    }
    const budgetOf = this.#deps.bounds.ofTransaction(origin);
    const outcomes = await Promise.all(
      [...byRoom].map(([roomId, ofRoom]) => this.#receiveInRoom(origin, roomId, ofRoom, budgetOf(roomId))),
    );
    this.#account(origin, wires.length, outcomes.flat());
    this.#deps.onPdus(origin, wires);
    const results: [EventId, JsonObject][] = outcomes
      .flat()
      .flatMap(({ eventId, error }) => (eventId === null ? [] : [[eventId, error === null ? {} : { error }]]));
    return Object.fromEntries(results);
  }

  /** Leaves a trace of what was refused: whoever looks for a lost event, or for an attacker, finds it in the log. */
  #account(origin: ServerName, sent: number, outcomes: readonly Outcome[]): void {
    const { count, log } = this.#deps;
    const refused = outcomes.filter(({ error }) => error !== null);
    const nameless = sent - outcomes.length;
    count('taken', outcomes.length - refused.length);
    count('refused', refused.length + nameless);
    if (refused.length + nameless === 0) return;
    const events = refused.slice(0, REFUSED_LOGGED_MAX).map(({ eventId, error }) => `${eventId ?? 'no ID'}: ${error}`);
    log.info('Events of another server were refused.', { origin, refused: refused.length + nameless, events });
  }

  /** Rooms do not wait for each other, and a fault in one is none of the others'. */
  async #receiveInRoom(
    origin: ServerName,
    roomId: RoomId,
    wires: readonly JsonValue[],
    budget: FetchBudget,
  ): Promise<Outcome[]> {
    const { inbox, clock, staging, log } = this.#deps;
    const outcomes: (Outcome | undefined)[] = wires.map(() => undefined);
    const judged = inbox
      .receive(origin, roomId, wires, budget, (index, outcome) => {
        outcomes[index] ??= outcome;
      })
      .catch((error: unknown) => log.error('Events of another server could not be judged.', { error, origin, roomId }))
      .then(() => outcomes.map((outcome) => outcome ?? NOT_JUDGED));
    const timeout = Promise.withResolvers<null>();
    const timer = clock.after(ANSWER_AFTER_MS, () => timeout.resolve(null));
    const inTime = await Promise.race([judged, timeout.promise]);
    timer.cancel();
    // As they are now: what is judged while the others are written down is told with them.
    const answer = inTime ?? outcomes.map((outcome) => outcome ?? NOT_JUDGED);
    const open = answer.flatMap((outcome, index) => (outcome.mayComeLater === true ? [index] : []));
    if (open.length === 0) return answer;
    const openWires = open.map((index) => wires[index]!);
    const staged = await staging.keep(origin, roomId, openWires);
    const settled = judged.then(
      (all) =>
        staged &&
        staging.settle(
          staged,
          open.map((index) => all[index]!),
        ),
    );
    this.#inBackground(settled, (error) => log.error('Events that wait for others were not settled.', { error }));
    const error = staged === null ? 'Too many events wait for others that are missing.' : null;
    const live = await this.#deps.rooms.find(roomId);
    for (const index of open) {
      const eventId = answer[index]!.eventId ?? (live === null ? null : idOf(live, wires[index]!));
      answer[index] = { eventId, error };
    }
    return answer;
  }

  #inBackground(work: Promise<unknown>, onError: (error: unknown) => void): void {
    const ended = work.catch(onError).finally(() => this.#running.delete(ended));
    this.#running.add(ended);
  }

  /** Ends what goes on in the background. */
  async stop(): Promise<void> {
    await Promise.all(this.#running);
    await this.#deps.answers.stop();
    await this.#deps.staging.stop();
  }
}
