/**
 * Tokens that speak for a user for a short while: to log in on another device, and to tell others who the user is.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#openid
 */
import { hash } from 'node:crypto';
import type { UserId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import type { Database } from '../storage/database.ts';
import {
  deleteShortToken,
  deleteShortTokensBefore,
  findShortToken,
  insertShortToken,
  keepNewestShortTokens,
  type TokenPurpose,
} from '../storage/short-tokens.ts';

/** Of 62 characters: 238 bits. */
const SECRET_LENGTH = 40;
const TOKEN_LENGTH_MAX = 200;
/** Of one user and purpose; the oldest ends when one more is made. */
const TOKENS_MAX = 100;

const hashOf = (token: string): string => hash('sha256', token, 'base64url');

export class ShortTokens {
  readonly #deps: { db: Database; clock: Clock; random: Random };

  constructor(deps: { db: Database; clock: Clock; random: Random }) {
    this.#deps = deps;
  }

  /** A new token that is good for `lifetimeMs`. */
  async make(purpose: TokenPurpose, userId: UserId, lifetimeMs: number): Promise<string> {
    const { db, clock, random } = this.#deps;
    const token = random.text(SECRET_LENGTH);
    const nowMs = clock.now();
    const row = { tokenHash: hashOf(token), purpose, userId, validUntilMs: nowMs + lifetimeMs };
    await db.commit([
      deleteShortTokensBefore(nowMs),
      keepNewestShortTokens(purpose, userId, TOKENS_MAX - 1),
      insertShortToken(row),
    ]);
    return token;
  }

  /** Whose token it is; null where it is none, or not good any more. */
  async ownerOf(purpose: TokenPurpose, token: string): Promise<UserId | null> {
    if (token.length > TOKEN_LENGTH_MAX) return null;
    const { db, clock } = this.#deps;
    return (await findShortToken(db, hashOf(token), purpose, clock.now())) ?? null;
  }

  /** The same for a token that is good once: of two who use it at one time one gets it. */
  async use(purpose: TokenPurpose, token: string): Promise<UserId | null> {
    if (token.length > TOKEN_LENGTH_MAX) return null;
    const { db, clock } = this.#deps;
    const tokenHash = hashOf(token);
    return db.write(async (tx) => {
      const userId = await findShortToken(tx, tokenHash, purpose, clock.now());
      return userId !== undefined && (await tx.run(deleteShortToken(tokenHash))) > 0 ? userId : null;
    });
  }
}
