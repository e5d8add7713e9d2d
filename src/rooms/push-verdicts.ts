/** What a reader's push rules say of events: whether they are told of one, and how loudly. */
import { LRUCache } from 'lru-cache';
import type { UserId } from '../core/ids.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import {
  type CompiledRules,
  compileRules,
  evaluatePush,
  PushEvent,
  type PushVerdict,
} from '../core/push-evaluation.ts';
import { NO_PUSH_RULES, type PushRuleOptions, pushRuleSet, type StoredPushRules } from '../core/push-rules.ts';
import { atMost } from '../kit/lru-bound.ts';
import { findAccountData, findPushRules } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';
import type { EventStore } from './event-store.ts';
import { type IgnoredUsers, isHushed } from './ignored-users.ts';
import type { LiveRoom } from './live-room.ts';
import { isExpired, type Retention } from './retention.ts';
import type { StoredEvent } from './stored-event.ts';

type Rules = { readonly compiled: CompiledRules; readonly position: StreamPosition };

/** Judges events of one room for one reader, with the rules that they have now. */
export type Judge = (event: StoredEvent) => Promise<PushVerdict | null>;

export type PushVerdictsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly events: EventStore;
  readonly ignored: IgnoredUsers;
  readonly retention: Retention;
  readonly pushRuleOptions: PushRuleOptions;
};

export class PushVerdicts {
  readonly #deps: PushVerdictsDeps;
  readonly #rules = new LRUCache<UserId, Rules>(atMost(20_000));
  /** Where the list of whom a user ignores last changed. */
  readonly #ignoring = new LRUCache<UserId, { readonly position: StreamPosition }>(atMost(20_000));
  /** Events made ready for judging, shared by all readers. */
  readonly #pushEvents = new LRUCache<number, PushEvent>(atMost(2_000));
  /** Counts changes: what was read while one came in may be from before it, and is not kept. */
  #changes = 0;

  constructor(deps: PushVerdictsDeps) {
    this.#deps = deps;
    deps.stream.listen((change) => {
      if (change.about === null || (change.kind !== 'push-rules' && change.kind !== 'account-data')) return;
      this.#changes++;
      if (change.kind === 'push-rules') this.#rules.delete(change.about);
      else this.#ignoring.delete(change.about);
    });
  }

  /** What `versionOf` gives, where no query is needed for it. */
  versionAtHand(userId: UserId): StreamPosition | undefined {
    const rules = this.#rules.get(userId);
    const ignoring = this.#ignoring.get(userId);
    return rules === undefined || ignoring === undefined ? undefined : Math.max(rules.position, ignoring.position);
  }

  /** Grows with each change of what decides for a user: verdicts of one version stand beside each other. */
  async versionOf(userId: UserId): Promise<StreamPosition> {
    const { position } = await this.#rulesOf(userId);
    let ignoring = this.#ignoring.get(userId);
    if (ignoring === undefined) {
      const before = this.#changes;
      const row = await findAccountData(this.#deps.db, userId, 0, 'm.ignored_user_list');
      ignoring = { position: row?.position ?? 0 };
      if (this.#changes === before) this.#ignoring.set(userId, ignoring);
    }
    return Math.max(position, ignoring.position);
  }

  /** What the reader's rules say of a room's events, redacted or not; null where the reader does not hear of one at all. */
  async judgeFor(live: LiveRoom, userId: UserId): Promise<Judge> {
    const { compiled } = await this.#rulesOf(userId);
    const ignored = await this.#deps.ignored.of(userId);
    const displayName = await this.#displayName(live, userId);
    const oldestMs = await this.#deps.retention.oldestMs(live);
    return async (event) => {
      if (!event.isShown || isHushed(event, ignored) || isExpired(event, oldestMs)) return null;
      return evaluatePush(compiled, await this.#pushEvent(live, event), displayName);
    };
  }

  async #rulesOf(userId: UserId): Promise<Rules> {
    const known = this.#rules.get(userId);
    if (known !== undefined) return known;
    const before = this.#changes;
    const stored = await findPushRules(this.#deps.db, userId);
    // Written by the push rules service in this very shape.
    const own = stored === undefined ? NO_PUSH_RULES : (JSON.parse(stored.rules) as StoredPushRules);
    const compiled = compileRules(userId, pushRuleSet(userId, own, this.#deps.pushRuleOptions));
    const rules = { compiled, position: stored?.position ?? 0 };
    if (this.#changes === before) this.#rules.set(userId, rules);
    return rules;
  }

  async #displayName(live: LiveRoom, userId: UserId): Promise<string | null> {
    const memberNo = live.currentNo('m.room.member', userId);
    if (memberNo === null) return null;
    const name = (await this.#deps.events.get(memberNo)).pdu.content['displayname'];
    return typeof name === 'string' ? name : null;
  }

  async #pushEvent(live: LiveRoom, event: StoredEvent): Promise<PushEvent> {
    const known = this.#pushEvents.get(event.eventNo);
    if (known !== undefined) return known;
    const createNo = live.currentNo('m.room.create', '');
    const levelsNo = live.currentNo('m.room.power_levels', '');
    const create = createNo === null ? null : await this.#deps.events.get(createNo);
    const powerLevels = levelsNo === null ? undefined : (await this.#deps.events.get(levelsNo)).pdu;
    const levels = create === null ? null : readPowerLevels(live.rules, create.pdu, powerLevels);
    const pushEvent = new PushEvent(event.pdu, {
      memberCount: live.joinedCount,
      senderLevel: levels?.levelOf(event.pdu.sender) ?? 0,
      notificationLevelOf: (key) => levels?.neededToNotify(key) ?? 50,
    });
    this.#pushEvents.set(event.eventNo, pushEvent);
    return pushEvent;
  }
}
