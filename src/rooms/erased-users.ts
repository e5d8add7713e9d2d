/**
 * Users whose account was closed with the wish to be forgotten. What they said is shown redacted to who was not in the
 * room when they said it.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate
 */
import type { UserId } from '../core/ids.ts';
import { listErasedUsers } from '../storage/accounts.ts';
import type { Reader } from '../storage/database.ts';
import type { Stream } from '../stream/stream.ts';

export class ErasedUsers {
  readonly #db: Reader;
  #loaded: Promise<ReadonlySet<UserId>> | null = null;

  constructor(deps: { db: Reader; stream: Pick<Stream, 'listen'> }) {
    this.#db = deps.db;
    deps.stream.listen((change) => {
      // Closing an account takes its profile away.
      if (change.kind === 'profile') this.#loaded = null;
    });
  }

  /** All of them, of this server; seldom any. */
  all(): Promise<ReadonlySet<UserId>> {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }

  #load(): Promise<ReadonlySet<UserId>> {
    const loading = listErasedUsers(this.#db).then((userIds) => new Set(userIds));
    // What failed once is tried again, and not given to everybody from then on.
    loading.catch(() => {
      if (this.#loaded === loading) this.#loaded = null;
    });
    return loading;
  }
}
