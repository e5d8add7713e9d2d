/** Profiles of users of other servers, kept for a while. */
import { LRUCache } from 'lru-cache';
import { FEDERATION } from '../contracts/federation/index.ts';
import { notFound } from '../core/errors.ts';
import { serverNameOf, type UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Clock } from '../kit/clock.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';

export type RemoteProfilesDeps = { readonly client: Pick<FederationClient, 'call'>; readonly clock: Clock };

type Kept = { readonly fields: JsonObject; readonly size: number; readonly endsMs: number };

const TIMEOUT_MS = 10_000;
const KEPT_MS = 5 * 60_000;
const KEPT_BYTES_MAX = 8_000_000;
/** Larger ones break the specification. */
const PROFILE_CHARS_MAX = 65_536;
const KEY_CHARS_MAX = 255;

export class RemoteProfiles {
  readonly #deps: RemoteProfilesDeps;
  readonly #kept = new LRUCache<UserId, Kept>({ maxSize: KEPT_BYTES_MAX, sizeCalculation: ({ size }) => size });
  readonly #asking = new Map<UserId, Promise<JsonObject>>();

  constructor(deps: RemoteProfilesDeps) {
    this.#deps = deps;
  }

  /**
   * All fields of a profile, as its server told of it at most some minutes ago.
   *
   * @throws MatrixError 404 where the server knows no such user or shows no profiles, 502 where it cannot be asked
   */
  async get(userId: UserId): Promise<JsonObject> {
    const kept = this.#kept.get(userId);
    if (kept !== undefined && this.#deps.clock.now() < kept.endsMs) return kept.fields;
    const running = this.#asking.get(userId);
    if (running !== undefined) return running;
    const asking = this.#ask(userId).finally(() => this.#asking.delete(userId));
    this.#asking.set(userId, asking);
    return asking;
  }

  async #ask(userId: UserId): Promise<JsonObject> {
    const { client, clock } = this.#deps;
    const server = serverNameOf(userId);
    const query = { user_id: userId };
    try {
      const told = await client.call(server, FEDERATION.queryProfile, { query }, { timeoutMs: TIMEOUT_MS });
      const text = JSON.stringify(told);
      if (text.length > PROFILE_CHARS_MAX) throw new RemoteError('bad-reply', `${server} told of too large a profile.`);
      const fields = fieldsOf(told);
      this.#kept.set(userId, { fields, size: 2 * text.length + 200, endsMs: clock.now() + KEPT_MS });
      return fields;
    } catch (error) {
      const isRefused = error instanceof RemoteError && error.fault === 'refused';
      if (isRefused && (error.remoteStatus === 404 || error.remoteStatus === 403)) {
        throw notFound('The server of this user knows no such user, or shows no profiles.');
      }
      throw error;
    }
  }
}

/** The fields that are set. Name and avatar are texts, whatever the other server says. */
function fieldsOf(told: JsonObject): JsonObject {
  const entries = Object.entries(told).filter(([key, value]) => {
    if (value === null || key.length > KEY_CHARS_MAX) return false;
    return (key !== 'displayname' && key !== 'avatar_url') || typeof value === 'string';
  });
  return Object.fromEntries(entries);
}
