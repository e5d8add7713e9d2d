/** The rooms of this server: each in its own queue, kept in memory within a bound, written through `append.ts`. */
import { LRUCache } from 'lru-cache';
import { forbidden, MatrixError, notFound } from '../core/errors.ts';
import { roomIdOfCreate } from '../core/event-hash.ts';
import type { EventId, RoomId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { PREV_EVENTS_MAX } from '../core/pdu-format.ts';
import type { RoomRules } from '../core/room-versions.ts';
import { bulkInserts } from '../storage/bulk-insert.ts';
import { findRoom, insertOnceKey, insertRoom, type RoomRow, setRoomVersion } from '../storage/events.ts';
import { listPartialJoins } from '../storage/partial-rooms.ts';
import { findMembership } from '../storage/room-state.ts';
import type { Statement } from '../storage/sql.ts';
import type { Stream } from '../stream/stream.ts';
import { type Adoption, adoptRoom, takeIn } from './adopt.ts';
import {
  type AppendDeps,
  appendDrafts,
  buildDraft,
  type Draft,
  settleCurrentState,
  templateOfDraft,
  vouchingServerOf,
} from './append.ts';
import { type Arrival, type ArrivalVerdict, appendArrivals } from './arrivals.ts';
import { audienceOf } from './audience.ts';
import { LiveRoom } from './live-room.ts';
import { type BecameWhole, makeWhole, type WholeJoin } from './make-whole.ts';
import { type OnceKey, OnceKeys } from './once-keys.ts';
import { buildOutOfBandLeave, type OutOfBandMembership, receiveOutOfBand } from './out-of-band.ts';
import type { PolicySignatures } from './policy-signatures.ts';
import { RoomWork } from './room-work.ts';
import { DUMMY_EVENT_TYPE, type StoredEvent } from './stored-event.ts';
import { TipHealing } from './tip-healing.ts';
import { WholeWaits } from './whole-waits.ts';

type Held = {
  readonly live: LiveRoom;
  /** Commits under way; the room may be read anew only when they have ended. */
  readonly inFlight: Set<Promise<void>>;
  isSpoiled: boolean;
};

/** What is done to a batch before it goes to the disk. */
type Pack = (statements: readonly Statement[]) => Promise<readonly Statement[]>;

/** How many requests may wait for one room; more are refused, so that one room cannot fill the memory. */
const QUEUE_MAX = 2000;

export type RoomsDeps = AppendDeps & {
  readonly stream: Stream;
  readonly roomsBytesMax: number;
  /** From how many forward extremities on a room's tips are joined by an event that does nothing else. */
  readonly dummyEventsThreshold: number;
  readonly policies: PolicySignatures;
};

/** How many tips a room has, as the metrics tell it: up to each of these. */
const TIP_COUNTS = [1, 10, PREV_EVENTS_MAX];

export class Rooms {
  readonly #deps: RoomsDeps;
  readonly #held: LRUCache<RoomId, Held>;
  readonly #queues = new Map<RoomId, { last: Promise<unknown>; length: number }>();
  readonly #onceKeys: OnceKeys;
  #lastCreateTs = 0;
  readonly #once = new Map<string, Promise<StoredEvent[]>>();
  readonly #healing: TipHealing;
  /** Those who wait until a partial room is whole. */
  readonly whole: WholeWaits;

  constructor(deps: RoomsDeps) {
    this.#deps = deps;
    this.#onceKeys = new OnceKeys(deps);
    this.#healing = new TipHealing({
      threshold: deps.dummyEventsThreshold,
      atHand: (roomId) => this.atHand(roomId),
      get: (roomId) => this.get(roomId),
      send: (roomId, drafts) => this.send(roomId, drafts),
    });
    this.whole = new WholeWaits(deps.clock);
    this.#held = new LRUCache({
      maxSize: deps.roomsBytesMax,
      sizeCalculation: (held) => held.live.sizeBytes,
    });
  }

  /** The stored room, or a refusal: 404 M_NOT_FOUND. */
  async get(roomId: RoomId): Promise<LiveRoom> {
    const held = this.#held.get(roomId);
    if (held !== undefined && !held.isSpoiled) return held.live;
    return (await this.#inQueue(roomId, () => this.#hold(roomId))).live;
  }

  /** The room if it is in memory; nothing is read. */
  atHand(roomId: RoomId): LiveRoom | null {
    const held = this.#held.get(roomId);
    return held === undefined || held.isSpoiled ? null : held.live;
  }

  /** The room if we have it. */
  async find(roomId: RoomId): Promise<LiveRoom | null> {
    try {
      return await this.get(roomId);
    } catch (error) {
      if (error instanceof MatrixError && error.status === 404) return null;
      throw error;
    }
  }

  /**
   * Sends events of local users into a room, all or none, each on top of the last. Resolves when they are on disk.
   * A repeated once-only key gives the event that was made the first time.
   *
   * @throws MatrixError 403 where the room's rules refuse one, 404 where there is no such room, 413 where one is too large
   */
  async send(
    roomId: RoomId,
    drafts: readonly Draft[],
    onceKey?: OnceKey,
    also: readonly Statement[] = [],
  ): Promise<StoredEvent[]> {
    if (onceKey === undefined) return this.#send(roomId, drafts, null, also);
    const key = nameOf(onceKey);
    const running = this.#once.get(key);
    if (running !== undefined) return running;
    const sending = this.#sendOnce(roomId, drafts, onceKey, also);
    this.#once.set(key, sending);
    try {
      return await sending;
    } finally {
      this.#once.delete(key);
    }
  }

  /** The event that a once-only key made, also if that is not on disk yet; null where it is new. */
  async madeBy(onceKey: OnceKey): Promise<EventId | null> {
    const running = this.#once.get(nameOf(onceKey));
    if (running !== undefined) return (await running).at(-1)!.eventId;
    return this.#onceKeys.find(onceKey);
  }

  async #sendOnce(
    roomId: RoomId,
    drafts: readonly Draft[],
    onceKey: OnceKey,
    also: readonly Statement[],
  ): Promise<StoredEvent[]> {
    const earlier = await this.#onceKeys.find(onceKey);
    if (earlier !== null) {
      const event = await this.#deps.events.findById(earlier);
      if (event !== undefined) return [event];
    }
    return this.#send(roomId, drafts, onceKey, also);
  }

  async #send(
    roomId: RoomId,
    drafts: readonly Draft[],
    onceKey: OnceKey | null,
    also: readonly Statement[],
  ): Promise<StoredEvent[]> {
    const live = await this.get(roomId);
    for (const draft of drafts) {
      if (await this.#deps.policies.isNeeded(live, draft)) return this.#sendSigned(live, drafts, onceKey, also);
    }
    let made: StoredEvent[] = [];
    const committed = await this.#inQueue(roomId, async () => {
      const held = await this.#hold(roomId);
      return this.#prepare(held, async (work) => {
        made = await appendDrafts(this.#deps, work, drafts);
        this.#finishSend(work, made.at(-1)!, onceKey, also);
      });
    });
    await committed.done;
    if (onceKey !== null) this.#onceKeys.note(onceKey);
    return made;
  }

  #finishSend(work: RoomWork, last: StoredEvent, onceKey: OnceKey | null, also: readonly Statement[]): void {
    work.statements.push(...also);
    if (onceKey !== null) work.statements.push(insertOnceKey(onceKey, last.eventId, this.#deps.clock.now()));
  }

  /**
   * Sends events into a room whose policy server must sign each of them. The room goes on while it is asked, so that what
   * one says may stand beside what others say. Where it refuses one, those before it are sent.
   */
  async #sendSigned(
    live: LiveRoom,
    drafts: readonly Draft[],
    onceKey: OnceKey | null,
    also: readonly Statement[],
  ): Promise<StoredEvent[]> {
    const made: StoredEvent[] = [];
    for (const [index, draft] of drafts.entries()) {
      const isLast = index === drafts.length - 1;
      made.push(await this.#sendOneSigned(live, draft, isLast ? onceKey : null, isLast ? also : []));
    }
    return made;
  }

  async #sendOneSigned(
    { roomId }: LiveRoom,
    draft: Draft,
    onceKey: OnceKey | null,
    also: readonly Statement[],
  ): Promise<StoredEvent> {
    const built = await this.build(roomId, draft);
    const pdu = await this.#deps.policies.sign(await this.get(roomId), built);
    const arrival: Arrival = {
      pdu,
      kind: 'live',
      isForUsToTell: draft.type !== DUMMY_EVENT_TYPE,
      hasAuthorisingSignature: vouchingServerOf(pdu) === this.#deps.serverName,
      ...(draft.sentAs === undefined ? {} : { sentAs: draft.sentAs }),
    };
    let made: StoredEvent | null = null;
    const committed = await this.#inQueue(roomId, async () => {
      const held = await this.#hold(roomId);
      return this.#prepare(held, async (work) => {
        const issue = (): number => this.#deps.stream.issueBackwards();
        const [verdict] = await appendArrivals(this.#deps, work, [arrival], issue);
        // The room went on meanwhile: whoever sent it may have lost the right to.
        if (verdict!.standing !== 'ok') throw forbidden(`This is not allowed: ${verdict!.reason}.`);
        made = (await work.find([pdu.eventId])).get(pdu.eventId)!;
        this.#finishSend(work, made, onceKey, also);
      });
    });
    await committed.done;
    if (onceKey !== null) this.#onceKeys.note(onceKey);
    this.#healing.later(roomId);
    return made!;
  }

  /**
   * An event of a local user as it would be sent now, hashed and signed, and not taken in: another server is to sign it
   * as well. Whoever got that signature brings it back through `append`.
   *
   * @throws MatrixError as `send` does
   */
  build(roomId: RoomId, draft: Draft): Promise<Pdu> {
    return this.#onTopOf(roomId, async (work) => (await buildDraft(this.#deps, work, draft)).pdu);
  }

  /**
   * What a user of another server would have to sign to say this in the room as it is now: the wire form without hashes
   * and signatures.
   *
   * @throws MatrixError 403 where the room's rules refuse it, 404 where there is no such room
   */
  template(roomId: RoomId, draft: Draft): Promise<JsonObject> {
    return this.#onTopOf(roomId, (work) => templateOfDraft(this.#deps, work, draft));
  }

  /** Makes something on top of a room's tips, which are on disk when it is handed out. */
  async #onTopOf<T>(roomId: RoomId, make: (work: RoomWork) => Promise<T>): Promise<T> {
    let made: T | null = null;
    const committed = await this.#inQueue(roomId, async () => {
      const held = await this.#hold(roomId);
      return this.#prepare(held, async (work) => {
        made = await make(work);
      });
    });
    await committed.done;
    return made!;
  }

  /**
   * Makes a room: its create event and all that follows, in one transaction.
   *
   * @returns the events, the create event first; the room's ID is theirs
   */
  async create(
    rules: RoomRules,
    drafts: readonly Draft[],
    also: (room: RoomRow) => readonly Statement[] = () => [],
  ): Promise<StoredEvent[]> {
    const roomNo = this.#deps.stream.issueNumber();
    const { serverName, random } = this.#deps;
    // In room version 12 the ID follows from the create event, which is made in a room that has none yet.
    let roomId = `!${random.text(18)}:${serverName}` as RoomId;
    if (rules.roomIdIsCreateHash) {
      const probe = new RoomWork(
        this.#deps,
        new LiveRoom({ roomNo, roomId, version: rules.version, isPublished: false }, serverName),
      );
      probe.live.isAuthIndexed = true;
      // Two rooms that one user makes alike in one millisecond would be one room.
      this.#lastCreateTs = Math.max(drafts[0]!.originServerTs ?? this.#deps.clock.now(), this.#lastCreateTs + 1);
      const createTs = this.#lastCreateTs;
      drafts = [{ ...drafts[0]!, originServerTs: createTs }, ...drafts.slice(1)];
      const [create] = await appendDrafts(this.#deps, probe, drafts.slice(0, 1));
      roomId = roomIdOfCreate(create!.eventId);
      probe.abandon();
    }
    const room: RoomRow = { roomNo, roomId, version: rules.version, isPublished: false };
    let made: StoredEvent[] = [];
    const committed = await this.#inQueue(roomId, async () => {
      const held: Held = {
        live: new LiveRoom(room, serverName),
        inFlight: new Set(),
        isSpoiled: false,
      };
      this.#deps.events.keepRoom(room);
      held.live.isAuthIndexed = true;
      return this.#prepare(held, async (work) => {
        work.statements.push(insertRoom({ ...room, createdMs: this.#deps.clock.now() }), ...also(room));
        made = await appendDrafts(this.#deps, work, drafts);
        this.#held.set(roomId, held);
      });
    });
    await committed.done;
    return made;
  }

  /** Takes in events from elsewhere, prev events before those that follow them. */
  async append(roomId: RoomId, arrivals: readonly Arrival[]): Promise<ArrivalVerdict[]> {
    let verdicts: ArrivalVerdict[] = [];
    const committed = await this.#inQueue(roomId, async () => {
      const held = await this.#hold(roomId);
      return this.#prepare(held, async (work) => {
        verdicts = await appendArrivals(this.#deps, work, arrivals, () => this.#deps.stream.issueBackwards());
      });
    });
    await committed.done;
    this.#healing.later(roomId);
    return verdicts;
  }

  /** How many rooms in memory have how many forward extremities, by the upper bound of a few ranges. */
  forwardExtremities(): Map<string, number> {
    const counts = new Map([...TIP_COUNTS.map(String), 'more'].map((range) => [range, 0]));
    for (const { live } of this.#held.values()) {
      const range = String(TIP_COUNTS.find((most) => live.extremities.size <= most) ?? 'more');
      counts.set(range, counts.get(range)! + 1);
    }
    return counts;
  }

  /**
   * Takes over a room that a local user joins through another server: state, auth chain and join in one transaction.
   * For a room that was left before, or that is known by an invite, as for one that is new.
   *
   * @returns the join event
   * @throws MatrixError 403 where the state that was told does not allow the join
   */
  async adopt(adoption: Adoption): Promise<StoredEvent> {
    const { roomId, rules } = adoption;
    return this.#inQueue(roomId, async () => {
      const { stream } = this.#deps;
      // Each event takes a number; none may be waited for in the middle.
      await stream.reserveAhead(adoption.state.length + adoption.authChain.length + 10);
      const held = await this.#holdOrMake(roomId, rules);
      const known = await this.#deps.events.findById(adoption.join.eventId);
      if (known?.row.roomNo === held.live.roomNo && known.isShown) return known;
      let join: StoredEvent | null = null;
      const committed = await this.#prepare(
        held,
        async (work) => {
          join = await adoptRoom(this.#deps, work, adoption);
        },
        (statements) => bulkInserts(statements, this.#deps.db.dialect),
      );
      // What comes next may ask for what no cache holds: it waits until all is on disk.
      await committed.done;
      this.#held.set(roomId, held);
      return join!;
    });
  }

  /**
   * Stores parts of a room's state and what they rest on, many at a time, as outliers: each after what it rests on.
   * Those that are here already stay what they are.
   */
  async keepOutliers(roomId: RoomId, pdus: readonly Pdu[]): Promise<void> {
    const committed = await this.#inQueue(roomId, async () => {
      await this.#deps.stream.reserveAhead(pdus.length + 10);
      return this.#prepare(
        await this.#hold(roomId),
        async (work) => void (await takeIn(work, pdus)),
        (statements) => bulkInserts(statements, this.#deps.db.dialect),
      );
    });
    await committed.done;
  }

  /**
   * Makes a partial room whole, once the state before each join of ours in it is stored.
   *
   * @returns null where there are other joins than these by now
   * @throws MatrixError 403 where a join is not allowed by the state that was told; where that must agree with what was told
   *   at the join and does not
   */
  async makeWhole(roomId: RoomId, joins: readonly WholeJoin[], mustAgree: boolean): Promise<BecameWhole | null> {
    const { db, events, stream } = this.#deps;
    return this.#inQueue(roomId, async () => {
      let held = await this.#hold(roomId);
      await Promise.allSettled(held.inFlight);
      held = await this.#hold(roomId);
      const noted = await events.list((await listPartialJoins(db, held.live.roomNo)).map(({ eventNo }) => eventNo));
      const told = new Set(joins.map(({ eventId }) => eventId));
      if (!held.live.isPartial) return { overlooked: [], since: Number.POSITIVE_INFINITY };
      if (!noted.every(({ eventId }) => told.has(eventId))) return null;
      await stream.reserveAhead(0);
      let became: BecameWhole | null = null;
      const committed = await this.#prepare(
        held,
        async (work) => {
          became = await makeWhole(this.#deps, work, joins, mustAgree);
        },
        (statements) => bulkInserts(statements, db.dialect),
      );
      await committed.done;
      this.whole.wake(roomId);
      return became;
    });
  }

  /**
   * Takes in a local user's membership in a room that this server is not in: an invite, a knock, the end of either.
   *
   * @returns false where the server is in the room: there it must come as any other event
   */
  async receiveOutOfBand(membership: OutOfBandMembership): Promise<boolean> {
    const { roomId, rules, pdu } = membership;
    return this.#inQueue(roomId, async () => {
      const held = await this.#holdOrMake(roomId, rules);
      if (held.live.isServerJoined) return false;
      if ((await this.#deps.events.findById(pdu.eventId)) !== undefined) return true;
      // The caller made sure that the state key is a local user.
      const before = await findMembership(this.#deps.db, held.live.roomNo, pdu.stateKey as UserId);
      const committed = await this.#prepare(held, async (work) => {
        receiveOutOfBand(work, membership, before?.eventNo ?? null);
      });
      await committed.done;
      return true;
    });
  }

  /**
   * Leaves an invite or knock on this server alone, where no other server takes the leave.
   *
   * @throws MatrixError 403 where the user has neither in a room that this server is not in
   */
  async leaveOutOfBand(roomId: RoomId, userId: UserId): Promise<void> {
    const live = await this.get(roomId);
    const row = await findMembership(this.#deps.db, live.roomNo, userId);
    const from = row === undefined ? undefined : await this.#deps.events.get(row.eventNo);
    if (from === undefined || !from.isOutOfBand || live.isServerJoined || row?.membership === 'leave') {
      throw forbidden('There is no invite or knock to take back.');
    }
    const pdu = buildOutOfBandLeave(this.#deps, live.rules, roomId, from);
    await this.receiveOutOfBand({ roomId, rules: live.rules, pdu, strippedState: null });
  }

  /**
   * Takes a room out of memory, while `deed` takes it out of the database: nobody comes in meanwhile.
   *
   * @returns what the deed gives: whether the room is gone; false for one that we do not know
   */
  async purge(roomId: RoomId, deed: (roomNo: number) => Promise<boolean>): Promise<boolean> {
    return this.#inQueue(roomId, async () => {
      const held = this.#held.get(roomId);
      if (held !== undefined) {
        // Whoever asks for it from now on waits.
        this.#spoil(held);
        await Promise.allSettled(held.inFlight);
      }
      const room = await findRoom(this.#deps.db, roomId);
      if (room === undefined) return false;
      try {
        return await deed(room.roomNo);
      } finally {
        this.#held.delete(roomId);
      }
    });
  }

  /** The room in memory, made where nothing is known of it; on disk with the first batch. */
  async #holdOrMake(roomId: RoomId, rules: RoomRules): Promise<Held> {
    const { db, events, stream, clock } = this.#deps;
    if ((await findRoom(db, roomId)) !== undefined) {
      const held = await this.#hold(roomId);
      return held.live.rules === rules ? held : this.#withOtherRules(held, rules);
    }
    const room: RoomRow = { roomNo: stream.issueNumber(), roomId, version: rules.version, isPublished: false };
    // A room without events is nothing that anybody sees, so that it may be there before them.
    await db.commit([insertRoom({ ...room, createdMs: clock.now() })]);
    events.keepRoom(room);
    return this.#hold(roomId);
  }

  /**
   * The room with the version that is told now. What an invite or a knock told of it nobody has checked; what a create
   * event said that we had stays (threat A9).
   *
   * @throws MatrixError 403 for a room whose version we know
   */
  async #withOtherRules({ live }: Held, { version }: RoomRules): Promise<Held> {
    if (live.snapshotNo !== null) throw forbidden(`The room is of version ${live.rules.version}.`);
    await this.#deps.db.commit([setRoomVersion(live.roomNo, version)]);
    this.#held.delete(live.roomId);
    return this.#hold(live.roomId);
  }

  /** Prepares a batch on top of the live room and hands it to the disk; the next batch need not wait for the flush. */
  async #prepare(held: Held, fill: (work: RoomWork) => Promise<void>, pack?: Pack): Promise<{ done: Promise<void> }> {
    const work = new RoomWork(this.#deps, held.live);
    let statements: readonly Statement[];
    try {
      await fill(work);
      statements = pack === undefined ? work.finish() : await pack(work.finish());
    } catch (error) {
      // A refusal in the middle leaves a room half changed in memory: only the database knows it whole.
      if (work.statements.length > 0) this.#spoil(held);
      work.abandon();
      throw error;
    }
    const committing = this.#commit(held, work, statements);
    held.inFlight.add(committing);
    const done = committing.finally(() => held.inFlight.delete(committing));
    // Whoever sent waits for it; the queue goes on either way.
    done.catch(() => {});
    return { done };
  }

  async #commit(held: Held, work: RoomWork, statements: readonly Statement[]): Promise<void> {
    try {
      await this.#deps.db.commit(statements, held.live.roomId);
    } catch (error) {
      this.#spoil(held);
      work.abandon();
      throw error;
    }
    work.publish((event) => audienceOf(held.live, event));
  }

  #spoil(held: Held): void {
    held.isSpoiled = true;
  }

  /** The live room, read from the database where it is not at hand. Runs in the room's queue. */
  async #hold(roomId: RoomId): Promise<Held> {
    let held = this.#held.get(roomId);
    if (held !== undefined && !held.isSpoiled) return held;
    if (held !== undefined) await Promise.allSettled(held.inFlight);
    const { db, events, snapshots, serverName } = this.#deps;
    const room = await findRoom(db, roomId);
    if (room === undefined) throw notFound('This server does not know the room.');
    events.keepRoom(room);
    const live = await LiveRoom.load({ db, snapshots, serverName }, room);
    const work = new RoomWork(this.#deps, live);
    await settleCurrentState(this.#deps, work);
    held = { live, inFlight: new Set(), isSpoiled: false };
    this.#held.set(roomId, held);
    return held;
  }

  async #inQueue<T>(roomId: RoomId, deed: () => Promise<T>): Promise<T> {
    let queue = this.#queues.get(roomId);
    if (queue === undefined) {
      queue = { last: Promise.resolve(), length: 0 };
      this.#queues.set(roomId, queue);
    }
    if (queue.length >= QUEUE_MAX) {
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many requests wait for this room.', { retry_after_ms: 1000 });
    }
    queue.length++;
    const run = queue.last.then(deed);
    queue.last = run.catch(() => {});
    try {
      return await run;
    } finally {
      queue.length--;
      if (queue.length === 0) this.#queues.delete(roomId);
    }
  }
}

const nameOf = ({ userId, scope, txnKey }: OnceKey): string => `${userId}\0${scope}\0${txnKey}`;
