/** One random history in one room: what happens is told to the server and to the reference, and both must count alike. */
import assert from 'node:assert/strict';
import type { EventId, RoomId, UserId } from '../../src/core/ids.ts';
import type { JsonObject } from '../../src/core/json-value.ts';
import { deletePushRule, putPushRule, setPushRuleEnabled } from '../../src/core/push-rule-edit.ts';
import type { PushRuleKind } from '../../src/core/push-rules.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { type Random, seededRandom } from '../../src/kit/random.ts';
import type { Draft } from '../../src/rooms/append.ts';
import { parseSyncToken } from '../../src/rooms/sync-token.ts';
import { stateDraft } from '../../src/testing/engine.ts';
import { type Counts, countUnread, FIRST_RULES, type Happening, type Rules, threadOf } from './unread-reference.ts';
import type { JoinedAnswer, World } from './world.ts';

const STEPS = 30;
/** A receipt is mostly for something lately said. */
const LATELY = 12;
const VERSION = '11';

type Said = Extract<Happening, { kind: 'event' }>;
type Held = { readonly token: string | null; readonly at: number };

/** Runs a history; gives the world that it ended in, which restarts have made anew. */
export async function runHistory(start: World, seed: number, restart: () => Promise<World>): Promise<World> {
  const history = new UnreadHistory(start, seed);
  await history.begin();
  for (let step = 0; step < STEPS; step++) {
    if (history.random.integer(STEPS * 3) === 0) history.world = await restart();
    await history.step();
    history.world.clock.advance(1);
  }
  await history.end();
  return history.world;
}

class UnreadHistory {
  world: World;
  readonly random: Random;
  readonly #happened: Happening[] = [];
  readonly #alice: UserId;
  readonly #others: readonly UserId[];
  readonly #in = new Set<UserId>();
  readonly #rules = new Map<UserId, Rules>();
  readonly #ignored = new Map<UserId, readonly UserId[]>();
  readonly #held = new Map<UserId, Held[]>();
  #roomId!: RoomId;

  constructor(world: World, seed: number) {
    this.world = world;
    this.random = seededRandom(seed);
    const user = (name: string): UserId => `@${name}-${seed}:example.org` as UserId;
    this.#alice = user('alice');
    this.#others = [user('bob'), user('carol')];
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.random.integer(list.length)]!;
  }

  async begin(): Promise<void> {
    const alice = this.#alice;
    const drafts = [
      stateDraft(alice, 'm.room.create', '', { room_version: VERSION }),
      stateDraft(alice, 'm.room.member', alice, { membership: 'join' }),
      stateDraft(alice, 'm.room.power_levels', '', { users: { [alice]: 100 } }),
      stateDraft(alice, 'm.room.join_rules', '', { join_rule: 'public' }),
    ];
    const made = await this.world.rooms.create(findRoomRules(VERSION)!, drafts);
    this.#roomId = made[0]!.pdu.roomId;
    for (const [index, { eventId }] of made.entries()) this.#note(eventId, drafts[index]!);
    this.#in.add(alice);
    for (const user of this.#others) if (this.random.integer(4) > 0) await this.#membership(user, user, 'join');
  }

  #note(id: string, { type, sender, stateKey, content, redacts }: Draft): void {
    const event = { kind: 'event', id, type, sender, stateKey, content } as const;
    this.#happened.push(redacts === undefined ? event : { ...event, redacts });
  }

  async #send(draft: Draft): Promise<void> {
    const [event] = await this.world.rooms.send(this.#roomId, [draft]);
    this.#note(event!.eventId, draft);
  }

  async #membership(sender: UserId, target: UserId, membership: 'join' | 'leave'): Promise<void> {
    await this.#send(stateDraft(sender, 'm.room.member', target, { membership }));
    if (membership === 'join') this.#in.add(target);
    else this.#in.delete(target);
  }

  get #events(): Said[] {
    return this.#happened.filter((each) => each.kind === 'event');
  }

  get #messages(): Said[] {
    return this.#events.filter((each) => each.stateKey === null && each.redacts === undefined);
  }

  async step(): Promise<void> {
    const user = this.#pick([...this.#in]);
    const dice = this.random.integer(100);
    if (dice < 44) await this.#send(this.#draft(user));
    else if (dice < 62) await this.#read(user);
    else if (dice < 70) await this.#comeOrGo();
    else if (dice < 77) await this.#redact(user);
    else if (dice < 84) await this.#changeRules(user);
    else if (dice < 86) await this.#ignore(user);
    else await this.#sync(user);
    if (this.random.integer(3) === 0) await this.check(this.#pick([...this.#in]));
  }

  #draft(sender: UserId): Draft {
    const words = [this.#pick(['hello', 'tea', 'rain']), this.#pick(['there', 'cake', 'cakes'])];
    const target = this.random.integer(3) === 0 ? undefined : this.#messages.at(-1 - this.random.integer(LATELY));
    const kind = this.random.integer(12);
    const relates = (relType: string): JsonObject =>
      target === undefined ? {} : { 'm.relates_to': { rel_type: relType, event_id: target.id } };
    const mentions: JsonObject =
      kind % 3 === 0
        ? { 'm.mentions': this.#pick<JsonObject>([{ user_ids: [this.#pick(this.#others)] }, { room: true }, {}]) }
        : {};
    const text: JsonObject = { msgtype: kind === 4 ? 'm.notice' : 'm.text', body: words.join(' '), ...mentions };
    const message = (content: JsonObject, type = 'm.room.message'): Draft => ({
      type,
      stateKey: null,
      sender,
      content,
    });
    if (kind < 4) return message({ ...text, ...this.#inThread() });
    if (kind === 5) return message(relates('m.annotation'), 'm.reaction');
    if (kind === 6) return message({ ...text, ...relates('m.reference') });
    if (kind === 7) return message({ ...text, ...relates('m.replace'), 'm.new_content': text });
    if (kind === 8) return message({ algorithm: 'm.megolm.v1.aes-sha2', ...this.#inThread() }, 'm.room.encrypted');
    if (kind === 9) return message({ ...text, 'm.relates_to': 'nothing' });
    if (kind === 10) return message({ a: 1 }, 'org.example.other');
    return message(text);
  }

  /** A relation to some thread's root: an event that is in no thread. */
  #inThread(): JsonObject {
    const roots = this.#messages.filter((each) => each.content['m.relates_to'] === undefined).slice(0, 3);
    if (roots.length === 0) return {};
    return { 'm.relates_to': { rel_type: 'm.thread', event_id: this.#pick(roots).id } };
  }

  async #read(userId: UserId): Promise<void> {
    const event = this.#pick(this.#events.slice(-LATELY));
    const thread = this.#pick([null, null, threadOf(this.#happened, event)]);
    const type = this.#pick(['m.read', 'm.read.private'] as const);
    const { world } = this;
    await world.receipts.mark({
      roomId: this.#roomId,
      userId,
      type,
      eventId: event.id as EventId,
      threadId: thread,
    });
    this.#happened.push({ kind: 'receipt', userId, thread, eventId: event.id });
  }

  async #comeOrGo(): Promise<void> {
    const user = this.#pick(this.#others);
    if (!this.#in.has(user)) await this.#membership(user, user, 'join');
    // A new name is no new join.
    else if (this.random.integer(3) === 0) {
      await this.#send(
        stateDraft(user, 'm.room.member', user, { membership: 'join', displayname: this.random.text(4) }),
      );
    } else await this.#membership(this.#pick([user, this.#alice]), user, 'leave');
  }

  async #redact(user: UserId): Promise<void> {
    const target = this.#messages.at(-1 - this.random.integer(LATELY));
    if (target === undefined || (user !== this.#alice && target.sender !== user)) return;
    const redacts = target.id as EventId;
    await this.#send({ type: 'm.room.redaction', stateKey: null, sender: user, content: { redacts }, redacts });
  }

  async #changeRules(userId: UserId): Promise<void> {
    const rules = this.#rules.get(userId) ?? FIRST_RULES;
    const { pushRules } = this.world;
    const put = (kind: PushRuleKind, ruleId: string, body: JsonObject): Promise<void> =>
      pushRules.change(userId, (stored) => putPushRule(stored, { kind, ruleId, body }));
    const drop = (kind: PushRuleKind, ruleId: string): Promise<void> =>
      pushRules.change(userId, (stored) => deletePushRule(stored, kind, ruleId));
    const enable = (ruleId: string, isOn: boolean): Promise<void> =>
      pushRules.change(userId, (stored) => setPushRuleEnabled(stored, { userId, kind: 'override', ruleId }, isOn));
    const loud = ['notify', { set_tweak: 'highlight' }];
    let changed: Rules;
    switch (this.random.integer(6)) {
      case 0:
      case 1:
        changed = { ...rules, isRoomMuted: !rules.isRoomMuted };
        await (rules.isRoomMuted ? drop('room', this.#roomId) : put('room', this.#roomId, { actions: [] }));
        break;
      case 2:
        changed = { ...rules, keyword: rules.keyword === null ? 'cake' : null };
        await (rules.keyword === null
          ? put('content', 'word', { pattern: 'cake', actions: loud })
          : drop('content', 'word'));
        break;
      case 3: {
        const sender = rules.loudSender ?? this.#pick([this.#alice, ...this.#others]);
        changed = { ...rules, loudSender: rules.loudSender === null ? sender : null };
        await (rules.loudSender === null ? put('sender', sender, { actions: loud }) : drop('sender', sender));
        break;
      }
      case 4:
        changed = { ...rules, hearsNotices: !rules.hearsNotices };
        await enable('.m.rule.suppress_notices', rules.hearsNotices);
        break;
      default:
        changed = { ...rules, isAllOff: !rules.isAllOff };
        await enable('.m.rule.master', !rules.isAllOff);
    }
    this.#rules.set(userId, changed);
    this.#happened.push({ kind: 'rules', userId, rules: changed });
  }

  async #ignore(userId: UserId): Promise<void> {
    const target = this.#pick([this.#alice, ...this.#others].filter((other) => other !== userId));
    const senders = this.#ignored.get(userId)?.length ? [] : [target];
    const content = { ignored_users: Object.fromEntries(senders.map((sender) => [sender, {}])) };
    await this.world.accountData.set(userId, null, 'm.ignored_user_list', content);
    this.#ignored.set(userId, senders);
    this.#happened.push({ kind: 'ignored', userId, senders });
  }

  /** One sync, mostly from where the client is, sometimes from where it was or from the beginning. */
  async #sync(userId: UserId): Promise<void> {
    const held = this.#held.get(userId) ?? [{ token: null, at: 0 }];
    const from = this.random.integer(4) === 0 ? this.#pick(held) : held.at(-1)!;
    const isApart = this.random.integer(2) === 0;
    const since = from.token === null ? null : parseSyncToken(from.token);
    const answer = await this.world.sync(userId, since, isApart);
    const joined = answer.rooms?.join?.[this.#roomId];
    const news = this.#happened.slice(from.at);
    const isNew = news.some((each) => each.kind === 'event' && each.stateKey === userId);
    if (from.token !== null && !isNew) {
      const ignored: readonly string[] = this.#ignored.get(userId) ?? [];
      const heard = news.filter(
        (each) => each.kind === 'event' && (each.stateKey !== null || !ignored.includes(each.sender)),
      );
      const ids = heard.map((each) => (each as Said).id);
      assert.deepEqual(joined?.timeline.events.map((event) => event.event_id) ?? [], ids, 'the timeline since a token');
    }
    if (joined !== undefined) {
      const counts = countUnread(this.#happened, userId, this.#alice);
      assert.deepEqual(countsOf(joined), isApart ? counts : sumOf(counts), `in a sync of ${userId}`);
    }
    this.#held.set(userId, [...held, { token: answer.next_batch, at: this.#happened.length }]);
  }

  async check(userId: UserId): Promise<void> {
    const { rooms, unread, stream } = this.world;
    const counted = await unread.count(await rooms.get(this.#roomId), userId, stream.current);
    const pair = (count: { notifyCount: number; highlightCount: number }) =>
      [count.notifyCount, count.highlightCount] as const;
    const threads = [...counted.threads].sort(([a], [b]) => (a < b ? -1 : 1));
    const found: Counts = {
      main: pair(counted.main),
      threads: Object.fromEntries(threads.map(([id, count]) => [id, pair(count)])),
    };
    assert.deepEqual(found, countUnread(this.#happened, userId, this.#alice), `counts of ${userId}`);
  }

  async end(): Promise<void> {
    for (const user of this.#in) await this.check(user);
    for (const user of this.#in) await this.#sync(user);
  }
}

type CountAnswer = JoinedAnswer['unread_notifications'];

function countsOf({ unread_notifications: all, unread_thread_notifications: threads }: JoinedAnswer): Counts {
  const pair = (count: CountAnswer) => [count.notification_count, count.highlight_count] as const;
  const byThread = Object.entries(threads ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return { main: pair(all), threads: Object.fromEntries(byThread.map(([id, count]) => [id, pair(count)])) };
}

/** All threads in one, for a client that does not tell them apart. */
function sumOf({ main, threads }: Counts): Counts {
  const all = [main, ...Object.values(threads)];
  const sum = (index: 0 | 1): number => all.reduce((total, count) => total + count[index], 0);
  return { main: [sum(0), sum(1)], threads: {} };
}
