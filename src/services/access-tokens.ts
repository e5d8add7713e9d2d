/**
 * Access tokens, and the guard that reads them. Only hashes are stored; a request with a token that was seen lately
 * costs no query.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { LRUCache } from 'lru-cache';
import { unknownToken, userLocked } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import type { Requester, RequestFacts } from '../http/endpoint.ts';
import type { Guard } from '../http/guard.ts';
import type { Clock } from '../kit/clock.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Random } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import {
  deleteToken,
  findRefreshTokenOwner,
  findTokenOwner,
  insertToken,
  keepOnlyToken,
  type TokenOwner,
} from '../storage/devices.ts';
import type { Statement } from '../storage/sql.ts';
import type { Stream } from '../stream/stream.ts';
import { type LastSeen, SEEN_EVERY_MS } from './last-seen.ts';

export type AccessTokensDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly random: Random;
  readonly lastSeen: LastSeen;
  readonly lifetimes: TokenLifetimes;
};

/** In milliseconds; null: until it is logged out. */
export type TokenLifetimes = {
  /** Of access tokens that come alone. */
  readonly plainMs: number | null;
  /** Of access tokens that come with a refresh token. */
  readonly refreshableMs: number | null;
  /** Of refresh tokens, from their making on. */
  readonly refreshMs: number | null;
};

/** A token that was made and not stored yet. */
export type NewToken = {
  readonly token: string;
  /** null for an access token that comes alone. */
  readonly refreshToken: string | null;
  readonly statement: Statement;
  readonly expiresInMs: number | null;
};

type Known = {
  readonly requester: Requester;
  readonly owner: TokenOwner;
  notedMs: number;
};

const PREFIX = 'myt_';
const REFRESH_PREFIX = 'myr_';
/** Of 62 characters: 178 bits. */
const SECRET_LENGTH = 30;
const OWN_FORM = /^(my[tr]_[A-Za-z0-9]{30})_([0-9a-z]{7})$/;
const TOKEN_LENGTH_MAX = 1000;
const KNOWN_MAX = 50_000;

/** What a reader of a leaked text, or we ourselves, can recognize a token by without asking a database. */
const checksumOf = (body: string): string => crc32(body).toString(36).padStart(7, '0');

const hashOf = (token: string): string => hash('sha256', token, 'base64url');

/** Whether a text looks like a token of ours and cannot be one, or is endless. */
function isGarbled(token: string, prefix: string): boolean {
  if (token.length > TOKEN_LENGTH_MAX) return true;
  const [, body, checksum] = OWN_FORM.exec(token) ?? [];
  return token.startsWith(prefix) && (body === undefined || checksumOf(body) !== checksum);
}

export class AccessTokens implements Guard {
  readonly #deps: AccessTokensDeps;
  readonly #known: LRUCache<string, Known>;
  readonly #hashesOf = new Map<UserId, Set<string>>();
  /** Counts what was forgotten: a token that was looked up meanwhile may be among it. */
  #generation = 0;

  constructor(deps: AccessTokensDeps) {
    this.#deps = deps;
    this.#known = new LRUCache({
      ...atMost(KNOWN_MAX),
      dispose: ({ owner }, tokenHash) => {
        const hashes = this.#hashesOf.get(owner.userId);
        hashes?.delete(tokenHash);
        if (hashes?.size === 0) this.#hashesOf.delete(owner.userId);
      },
    });
  }

  #newSecret(prefix: string): string {
    const body = prefix + this.#deps.random.text(SECRET_LENGTH);
    return `${body}_${checksumOf(body)}`;
  }

  /** Makes a token for a device; it is good once the caller has committed the statement. */
  make(
    userId: UserId,
    deviceId: string | null,
    { isRefreshable, replacesOlder = false }: { isRefreshable: boolean; replacesOlder?: boolean },
  ): NewToken {
    const { stream, clock, lifetimes } = this.#deps;
    const token = this.#newSecret(PREFIX);
    const refreshToken = isRefreshable ? this.#newSecret(REFRESH_PREFIX) : null;
    const lifetimeMs = isRefreshable ? lifetimes.refreshableMs : lifetimes.plainMs;
    const createdMs = clock.now();
    const statement = insertToken({
      tokenId: stream.issueNumber(),
      tokenHash: hashOf(token),
      userId,
      deviceId,
      createdMs,
      validUntilMs: lifetimeMs === null ? null : createdMs + lifetimeMs,
      refreshHash: refreshToken === null ? null : hashOf(refreshToken),
      refreshUntilMs: isRefreshable && lifetimes.refreshMs !== null ? createdMs + lifetimes.refreshMs : null,
      replacesOlder,
    });
    return { token, refreshToken, statement, expiresInMs: lifetimeMs };
  }

  /**
   * A new pair of tokens for a refresh token. The old pair is good until one of the new ones is used, so that a client
   * that the answer did not reach can ask again; what it was given the first time ends then.
   *
   * @throws MatrixError 401 M_UNKNOWN_TOKEN, softly where it has expired, or M_USER_LOCKED
   */
  async refresh(refreshToken: string): Promise<NewToken> {
    const unknown = unknownToken('The refresh token is not known.');
    if (isGarbled(refreshToken, REFRESH_PREFIX)) throw unknown;
    const { db, clock } = this.#deps;
    const { made, userId } = await db.write(async (tx) => {
      const owner = await findRefreshTokenOwner(tx, hashOf(refreshToken));
      if (owner === undefined || owner.isDeactivated || owner.deviceId === null) throw unknown;
      if (owner.refreshUntilMs !== null && clock.now() >= owner.refreshUntilMs) {
        throw unknownToken('The refresh token has expired.', true);
      }
      if (owner.isLocked) throw userLocked();
      const made = this.make(owner.userId, owner.deviceId, { isRefreshable: true, replacesOlder: true });
      const [keep, endOthers] = keepOnlyToken(owner.userId, owner.deviceId, owner.tokenId);
      // Another request may have ended it since it was read.
      if ((await tx.run(keep)) === 0) throw unknown;
      await tx.run(endOthers);
      await tx.run(made.statement);
      return { made, userId: owner.userId };
    });
    this.forget(userId);
    return made;
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
    if (isGarbled(token, PREFIX)) throw unknownToken('The access token is not known.');
    const generation = this.#generation;
    const owner = await findTokenOwner(this.#deps.db, tokenHash);
    if (owner === undefined || owner.isDeactivated) throw unknownToken('The access token is not known.');
    const { userId, deviceId, tokenId, isGuest, isAdmin, isSuspended } = owner;
    if (owner.replacesOlder && deviceId !== null) {
      await this.#deps.db.commit(keepOnlyToken(userId, deviceId, tokenId));
      this.forget(userId);
    }
    const known: Known = {
      requester: { userId, deviceId, tokenId, isGuest, isAdmin, isSuspended, appserviceId: null },
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
      throw userLocked();
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
