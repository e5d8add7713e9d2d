/**
 * Unread counts as a plain function of all that happened: it walks the whole list from the beginning each time. Slow and
 * plain, so that one can see that it is right.
 */

export type Happening =
  | {
      readonly kind: 'event';
      readonly id: string;
      readonly type: string;
      readonly sender: string;
      readonly stateKey: string | null;
      readonly content: Readonly<Record<string, unknown>>;
      /** Of a redaction that took effect. */
      readonly redacts?: string;
    }
  | { readonly kind: 'receipt'; readonly userId: string; readonly thread: string | null; readonly eventId: string }
  | { readonly kind: 'rules'; readonly userId: string; readonly rules: Rules }
  | { readonly kind: 'ignored'; readonly userId: string; readonly senders: readonly string[] };

/** The part of a user's push rules that histories change. */
export type Rules = {
  readonly isRoomMuted: boolean;
  readonly keyword: string | null;
  /** Senders whose messages highlight, whatever they say. */
  readonly loudSender: string | null;
  readonly hearsNotices: boolean;
  readonly isAllOff: boolean;
};

export const FIRST_RULES: Rules = {
  isRoomMuted: false,
  keyword: null,
  loudSender: null,
  hearsNotices: false,
  isAllOff: false,
};

export type Counts = {
  readonly main: readonly [notify: number, highlight: number];
  readonly threads: Readonly<Record<string, readonly [notify: number, highlight: number]>>;
};

type Event = Extract<Happening, { kind: 'event' }>;
type Relation = { readonly rel_type?: string; readonly event_id?: string };

const relationOf = (event: Event): Relation => (event.content['m.relates_to'] as Relation | undefined) ?? {};

/** What the user has not read, when all this has happened. `moderator` is the one who may mention the whole room. */
export function countUnread(history: readonly Happening[], userId: string, moderator: string): Counts {
  const indexOf = new Map<string, number>();
  for (const [index, happening] of history.entries()) {
    if (happening.kind === 'event') indexOf.set(happening.id, index);
  }
  const redacted = new Set(history.map((each) => (each.kind === 'event' ? each.redacts : undefined)));
  const rules = lastOf(history, (each) => (each.kind === 'rules' && each.userId === userId ? each.rules : null));
  const ignored = lastOf(history, (each) => (each.kind === 'ignored' && each.userId === userId ? each.senders : null));
  const cameIn = lastJoin(history, userId);
  const counts = new Map<string, [number, number]>();
  for (const [index, event] of history.entries()) {
    if (event.kind !== 'event' || index <= cameIn || redacted.has(event.id)) continue;
    if (event.stateKey === null && ignored?.includes(event.sender)) continue;
    const loudness = loudnessOf(event, userId, rules ?? FIRST_RULES, moderator);
    if (loudness === 'silent') continue;
    const thread = threadOf(history, event);
    const isRead = history.some(
      (each) =>
        each.kind === 'receipt' &&
        each.userId === userId &&
        (each.thread === null || each.thread === thread) &&
        indexOf.get(each.eventId)! >= index,
    );
    if (isRead) continue;
    const count = counts.get(thread) ?? [0, 0];
    counts.set(thread, [count[0] + 1, count[1] + (loudness === 'highlight' ? 1 : 0)]);
  }
  const main = counts.get('main') ?? [0, 0];
  counts.delete('main');
  return { main, threads: Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))) };
}

function lastOf<T>(history: readonly Happening[], pick: (happening: Happening) => T | null): T | null {
  return history.map(pick).findLast((picked) => picked !== null) ?? null;
}

/** Where the user came in last: changes of their name on the way do not count. */
function lastJoin(history: readonly Happening[], userId: string): number {
  let index = -1;
  let membership = 'leave';
  for (const [at, event] of history.entries()) {
    if (event.kind !== 'event' || event.type !== 'm.room.member' || event.stateKey !== userId) continue;
    const next = String(event.content['membership']);
    if (next === 'join' && membership !== 'join') index = at;
    membership = next;
  }
  return index;
}

/** The thread that an event is in: three relations are followed, and no more. */
export function threadOf(history: readonly Happening[], event: Event): string {
  let current: Event | undefined = event;
  for (let hop = 0; hop < 3 && current !== undefined; hop++) {
    const { rel_type: relType, event_id: target }: Relation = relationOf(current);
    if (relType === 'm.thread') return target!;
    current = history.find((each): each is Event => each.kind === 'event' && each.id === target);
  }
  return 'main';
}

/** The predefined rules in the specification's order, with what the user changed. */
function loudnessOf(
  { type, sender, stateKey, content, ...event }: Event,
  userId: string,
  rules: Rules,
  moderator: string,
): 'silent' | 'notify' | 'highlight' {
  if (sender === userId || rules.isAllOff) return 'silent';
  const mentions = (content['m.mentions'] ?? {}) as { user_ids?: string[]; room?: boolean };
  const body = typeof content['body'] === 'string' ? content['body'] : '';
  if (content['msgtype'] === 'm.notice' && !rules.hearsNotices) return 'silent';
  if (type === 'm.room.member') {
    return stateKey === userId && content['membership'] === 'invite' ? 'notify' : 'silent';
  }
  if (mentions.user_ids?.includes(userId)) return 'highlight';
  if (mentions.room === true && sender === moderator) return 'highlight';
  if (type === 'm.reaction') return 'silent';
  if (relationOf({ ...event, type, sender, stateKey, content }).rel_type === 'm.replace') return 'silent';
  if (rules.keyword !== null && body.split(' ').includes(rules.keyword)) return 'highlight';
  if (rules.isRoomMuted) return 'silent';
  if (rules.loudSender === sender) return 'highlight';
  return type === 'm.room.message' || type === 'm.room.encrypted' ? 'notify' : 'silent';
}
