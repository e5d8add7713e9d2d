/**
 * A naive server for `/sync`: it keeps every event in one list, and works out from the beginning what an answer must
 * hold. Slow and plain, so that one can see that it is right.
 */

export type ModelEvent = {
  readonly id: string;
  readonly roomId: string;
  readonly type: string;
  readonly stateKey: string | null;
  readonly content: Readonly<Record<string, unknown>>;
};

/** What one room's part of an answer must say. */
export type Expected =
  | { readonly section: 'absent' }
  | { readonly section: 'invite' }
  | {
      readonly section: 'join' | 'leave';
      readonly timeline: readonly string[];
      readonly isLimited: boolean;
      /** False where the client is told a last word only, and nothing else of the room. */
      readonly tellsState: boolean;
      /** True where the client begins anew with the room. */
      readonly isFresh: boolean;
      /** The room's state as the client must know it then: key → event ID. */
      readonly state: ReadonlyMap<string, string>;
    };

export const stateKeyOf = (type: string, stateKey: string): string => `${type} ${stateKey}`;

export class SyncModel {
  readonly events: ModelEvent[] = [];
  readonly redacted = new Set<string>();
  /** Room and user → how far the user has read. */
  readonly #receipts = new Map<string, { readonly id: string; readonly at: number }>();
  readonly #receiptTimes = new Map<string, number>();
  #time = 0;
  readonly #times: number[] = [];

  /** A time that lies behind all that happened, and before all that will happen. */
  get now(): number {
    return this.#time;
  }

  add(event: ModelEvent): void {
    if (this.events.some(({ id }) => id === event.id)) return;
    this.events.push(event);
    this.#times.push(++this.#time);
  }

  read(roomId: string, userId: string, id: string): void {
    const at = this.events.findIndex((event) => event.id === id);
    const key = `${roomId} ${userId}`;
    if ((this.#receipts.get(key)?.at ?? -1) >= at) return;
    this.#receipts.set(key, { id, at });
    this.#receiptTimes.set(roomId, ++this.#time);
  }

  /** User → the event up to which they have read the room. */
  receiptsOf(roomId: string, userIds: readonly string[]): Map<string, string> {
    const found = new Map<string, string>();
    for (const userId of userIds) {
      const receipt = this.#receipts.get(`${roomId} ${userId}`);
      if (receipt !== undefined) found.set(userId, receipt.id);
    }
    return found;
  }

  /** The room's events with their times, up to a time. */
  #history(roomId: string, upTo: number): { event: ModelEvent; at: number }[] {
    return this.events
      .map((event, index) => ({ event, at: this.#times[index]! }))
      .filter(({ event, at }) => event.roomId === roomId && at <= upTo);
  }

  stateAt(roomId: string, upTo: number): Map<string, string> {
    const state = new Map<string, string>();
    for (const { event } of this.#history(roomId, upTo)) {
      if (event.stateKey !== null) state.set(stateKeyOf(event.type, event.stateKey), event.id);
    }
    return state;
  }

  #contentAt(roomId: string, upTo: number, type: string, stateKey: string): ModelEvent['content'] | undefined {
    const id = this.stateAt(roomId, upTo).get(stateKeyOf(type, stateKey));
    return this.events.find((event) => event.id === id)?.content;
  }

  membershipAt(roomId: string, userId: string, upTo: number): string | undefined {
    // A redacted member event keeps its membership.
    return this.#contentAt(roomId, upTo, 'm.room.member', userId)?.['membership'] as string | undefined;
  }

  #visibilityAt(roomId: string, upTo: number): string {
    return (
      (this.#contentAt(roomId, upTo, 'm.room.history_visibility', '')?.['history_visibility'] as string) ?? 'shared'
    );
  }

  /** The events that a user may see now, with their times. */
  visible(roomId: string, userId: string, upTo: number): { event: ModelEvent; at: number }[] {
    const history = this.#history(roomId, upTo);
    const joins = history.filter(({ at }) => this.membershipAt(roomId, userId, at) === 'join').map(({ at }) => at);
    const isIn = this.membershipAt(roomId, userId, upTo) === 'join';
    return history.filter(({ event, at }) => {
      const changesVisibility = event.type === 'm.room.history_visibility';
      const changesMembership = event.type === 'm.room.member' && event.stateKey === userId;
      const visibilities = [
        this.#visibilityAt(roomId, at),
        ...(changesVisibility ? [this.#visibilityAt(roomId, at - 1)] : []),
      ];
      const memberships = [
        this.membershipAt(roomId, userId, at),
        ...(changesMembership ? [this.membershipAt(roomId, userId, at - 1)] : []),
      ];
      const joinsLater = isIn || joins.some((join) => join > at);
      return visibilities.some((visibility) => memberships.includes('join') || (visibility === 'shared' && joinsLater));
    });
  }

  /** The newest visible events behind a time with nothing hidden among them, and whether something hidden is before them. */
  #withoutHole(
    roomId: string,
    userId: string,
    after: number,
    upTo: number,
  ): { news: { event: ModelEvent }[]; hasHole: boolean } {
    const visible = new Set(this.visible(roomId, userId, this.#time).map(({ event }) => event));
    const all = this.#history(roomId, upTo).filter(({ at }) => at > after);
    const hole = all.findLastIndex(({ event }) => !visible.has(event));
    return { news: all.slice(hole + 1), hasHole: hole >= 0 };
  }

  /** What a sync from `since` (null: the first one) must say of a room. */
  expected(roomId: string, userId: string, since: number | null, limit: number): Expected {
    const { now } = this;
    const changes = this.#history(roomId, now).filter(({ event, at }) => {
      const isOwn = event.type === 'm.room.member' && event.stateKey === userId;
      return isOwn && this.membershipAt(roomId, userId, at - 1) !== this.membershipAt(roomId, userId, at);
    });
    const isChanged = changes.some(({ at }) => since === null || at > since);
    const was = since === null ? undefined : this.membershipAt(roomId, userId, since);
    const is = this.membershipAt(roomId, userId, now);
    if (is === undefined) return { section: 'absent' };
    if (is === 'invite') return { section: isChanged ? 'invite' : 'absent' };
    const isFresh = was !== 'join';
    const after = isFresh ? -1 : since!;
    if (is === 'join') {
      const { news, hasHole } = this.#withoutHole(roomId, userId, after, now);
      const hasReceipts = (this.#receiptTimes.get(roomId) ?? -1) > after;
      if (news.length === 0 && !isFresh && !hasReceipts) return { section: 'absent' };
      const isOlder = isFresh && since !== null && this.#history(roomId, since).length > 0;
      return {
        section: 'join',
        timeline: lastIds(news, limit),
        isLimited: news.length > limit || hasHole || isOlder,
        tellsState: true,
        isFresh,
        state: this.stateAt(roomId, now),
      };
    }
    if (!isChanged) return { section: 'absent' };
    const last = this.#history(roomId, now).findLast(
      ({ event }) => event.type === 'm.room.member' && event.stateKey === userId,
    )!;
    const lastJoin = changes.findLast(({ at }) => this.membershipAt(roomId, userId, at) === 'join');
    const end = lastJoin === undefined ? undefined : changes.find(({ at }) => at > lastJoin.at)!;
    if (end === undefined || (since !== null && end.at <= since)) {
      const timeline = [last.event.id];
      return { section: 'leave', timeline, isLimited: false, tellsState: false, isFresh, state: new Map() };
    }
    const { news, hasHole } = this.#withoutHole(roomId, userId, after, end.at);
    const state = this.stateAt(roomId, end.at);
    const isOlder = isFresh && since !== null && this.#history(roomId, since).length > 0;
    const timeline = lastIds(news, limit);
    if (last.at !== end.at) {
      timeline.push(last.event.id);
      state.set(stateKeyOf('m.room.member', userId), last.event.id);
    }
    const isLimited = news.length > limit || hasHole || isOlder;
    return { section: 'leave', timeline, isLimited, tellsState: true, isFresh, state };
  }
}

const lastIds = (events: readonly { event: ModelEvent }[], limit: number): string[] =>
  limit === 0 ? [] : events.slice(-limit).map(({ event }) => event.id);
