/**
 * Access tokens, and the guard that reads them. Only hashes are stored; a request with a token that was seen lately
 * costs no query.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { LRUCache } from 'lru-cache';
import { MatrixError, unknownToken } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import type { Requester, RequestFacts } from '../http/endpoint.ts';
import type { Guard } from '../http/guard.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import { deleteToken, findTokenOwner, insertToken, type TokenOwner } from '../storage/devices.ts';
import type { Statement } from '../storage/sql.ts';
import type { Stream } from '../stream/stream.ts';
import { type LastSeen, SEEN_EVERY_MS } from './last-seen.ts';

export type AccessTokensDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly random: Random;
  readonly lastSeen: LastSeen;
  /** How long a token is good for; null: until it is logged out. */
  readonly lifetimeMs: number | null;
};

/** A token that was made and not stored yet. */
export type NewToken = {
  readonly token: string;
  readonly statement: Statement;
  readonly expiresInMs: number | null;
};

type Known = {
  readonly requester: Requester;
  readonly owner: TokenOwner;
  notedMs: number;
};

const PREFIX = 'myt_';
/** Of 62 characters: 178 bits. */
const SECRET_LENGTH = 30;
const OWN_FORM = /^(myt_[A-Za-z0-9]{30})_([0-9a-z]{7})$/;
const TOKEN_LENGTH_MAX = 1000;
const KNOWN_MAX = 50_000;

/** What a reader of a leaked text, or we ourselves, can recognize a token by without asking a database. */
const checksumOf = (body: string): string => crc32(body).toString(36).padStart(7, '0');

const hashOf = (token: string): string => hash('sha256', token, 'base64url');

export class AccessTokens implements Guard {
  readonly #deps: AccessTokensDeps;
  readonly #known: LRUCache<string, Known>;
  readonly #hashesOf = new Map<UserId, Set<string>>();
  /** Counts what was forgotten: a token that was looked up meanwhile may be among it. */
  #generation = 0;

  constructor(deps: AccessTokensDeps) {
    this.#deps = deps;
    this.#known = new LRUCache({
      max: KNOWN_MAX,
      dispose: ({ owner }, tokenHash) => {
        const hashes = this.#hashesOf.get(owner.userId);
        hashes?.delete(tokenHash);
        if (hashes?.size === 0) this.#hashesOf.delete(owner.userId);
      },
    });
  }

  /** Makes a token for a device; it is good once the caller has committed the statement. */
  make(userId: UserId, deviceId: string | null): NewToken {
    const { stream, clock, random, lifetimeMs } = this.#deps;
    const body = PREFIX + random.text(SECRET_LENGTH);
    const token = `${body}_${checksumOf(body)}`;
    const createdMs = clock.now();
    const statement = insertToken({
      tokenId: stream.issueNumber(),
      tokenHash: hashOf(token),
      userId,
      deviceId,
      createdMs,
      validUntilMs: lifetimeMs === null ? null : createdMs + lifetimeMs,
    });
    return { token, statement, expiresInMs: lifetimeMs };
  }

  identify(
    token: string,
    facts: RequestFacts,
    endpoint: { readonly allowsLocked: boolean },
  ): Promise<Requester> | Requester {
    const tokenHash = hashOf(token);
    const known = this.#known.get(tokenHash);
    if (known !== undefined) return this.#letIn(known, facts, endpoint);
    return this.#lookUp(token, tokenHash).then((found) => this.#letIn(found, facts, endpoint));
  }

  async #lookUp(token: string, tokenHash: string): Promise<Known> {
    const [, body, checksum] = OWN_FORM.exec(token) ?? [];
    const isGarbled = token.startsWith(PREFIX) && (body === undefined || checksumOf(body) !== checksum);
    if (isGarbled || token.length > TOKEN_LENGTH_MAX) throw unknownToken('The access token is not known.');
    const generation = this.#generation;
    const owner = await findTokenOwner(this.#deps.db, tokenHash);
    if (owner === undefined || owner.isDeactivated) throw unknownToken('The access token is not known.');
    const { userId, deviceId, tokenId, isGuest, isAdmin } = owner;
    const known: Known = {
      requester: { userId, deviceId, tokenId, isGuest, isAdmin, appserviceId: null },
      owner,
      notedMs: 0,
    };
    if (generation === this.#generation) {
      this.#known.set(tokenHash, known);
      let hashes = this.#hashesOf.get(userId);
      if (hashes === undefined) {
        hashes = new Set();
        this.#hashesOf.set(userId, hashes);
      }
      hashes.add(tokenHash);
    }
    return known;
  }

  #letIn(known: Known, facts: RequestFacts, endpoint: { readonly allowsLocked: boolean }): Requester {
    const { owner, requester } = known;
    const nowMs = this.#deps.clock.now();
    if (owner.validUntilMs !== null && nowMs >= owner.validUntilMs) {
      throw unknownToken('The access token has expired.', true);
    }
    if (owner.isLocked && !endpoint.allowsLocked) {
      throw new MatrixError(401, 'M_USER_LOCKED', 'This account is locked.', { soft_logout: true });
    }
    if (owner.deviceId !== null && nowMs - known.notedMs >= SEEN_EVERY_MS) {
      known.notedMs = nowMs;
      const { userId, deviceId } = owner;
      this.#deps.lastSeen.note({ userId, deviceId, seenMs: nowMs, ip: facts.ip, userAgent: facts.userAgent });
    }
    return requester;
  }

  /** Ends a token that belongs to no device. */
  async revoke(userId: UserId, tokenId: number): Promise<void> {
    await this.#deps.db.commit([deleteToken(tokenId)]);
    this.forget(userId);
  }

  /** Looks a user's tokens up anew: some are gone, or the account has changed. Call it after the commit. */
  forget(userId: UserId): void {
    this.#generation++;
    for (const tokenHash of [...(this.#hashesOf.get(userId) ?? [])]) this.#known.delete(tokenHash);
  }
}
