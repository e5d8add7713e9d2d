/**
 * Users whose account was closed with the wish to be forgotten. What they said is shown redacted to who was not in the
 * room when they said it.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate
 */
import type { UserId } from '../core/ids.ts';
import { listErasedUsers } from '../storage/accounts.ts';
import type { Database } from '../storage/database.ts';
import type { Stream } from '../stream/stream.ts';

export class ErasedUsers {
  readonly #db: Database;
  #loaded: Promise<ReadonlySet<UserId>> | null = null;

  constructor(deps: { db: Database; stream: Stream }) {
    this.#db = deps.db;
    deps.stream.listen((change) => {
      // Closing an account takes its profile away.
      if (change.kind === 'profile') this.#loaded = null;
    });
  }

  /** All of them, of this server; seldom any. */
  all(): Promise<ReadonlySet<UserId>> {
    this.#loaded ??= listErasedUsers(this.#db).then((userIds) => new Set(userIds));
    return this.#loaded;
  }
}
