/** A user's push rules: their own, and their changes to the predefined ones. */
import type { UserId } from '../core/ids.ts';
import {
  NO_PUSH_RULES,
  type PushRuleOptions,
  type PushRuleSet,
  pushRuleSet,
  type StoredPushRules,
} from '../core/push-rules.ts';
import { findPushRules, upsertPushRules } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import type { Stream } from '../stream/stream.ts';

type Edit = (stored: StoredPushRules, options: PushRuleOptions) => StoredPushRules;

export class PushRules {
  readonly #deps: { db: Database; stream: Stream; options: PushRuleOptions };
  readonly #changing = new Map<UserId, Promise<unknown>>();

  constructor(deps: { db: Database; stream: Stream; options: PushRuleOptions }) {
    this.#deps = deps;
  }

  /** The whole rule set, predefined rules included. */
  async get(userId: UserId): Promise<PushRuleSet> {
    return pushRuleSet(userId, await this.stored(userId), this.#deps.options);
  }

  /** The user's own rules and their changes to the predefined ones. */
  async stored(userId: UserId): Promise<StoredPushRules> {
    const found = await findPushRules(this.#deps.db, userId);
    // Written by `change`, in this very shape.
    return found === undefined ? NO_PUSH_RULES : (JSON.parse(found.rules) as StoredPushRules);
  }

  /** Changes a user's rules by a pure function of what is stored; what that throws is thrown on. */
  async change(userId: UserId, edit: Edit): Promise<void> {
    // Rules are read and written as one: two changes at a time of one user would lose one.
    const before = this.#changing.get(userId) ?? Promise.resolve();
    const changing = before.then(() => this.#change(userId, edit));
    const settled = changing.catch(() => {});
    this.#changing.set(userId, settled);
    try {
      await changing;
    } finally {
      if (this.#changing.get(userId) === settled) this.#changing.delete(userId);
    }
  }

  async #change(userId: UserId, edit: Edit): Promise<void> {
    const { stream, options } = this.#deps;
    const rules = JSON.stringify(edit(await this.stored(userId), options));
    await stream.record({ kind: 'push-rules', roomNo: null, about: userId, users: [userId] }, (position) => [
      upsertPushRules(userId, rules, position),
    ]);
  }
}
