/**
 * Tokens that admins hand out, by which people may register where that is asked for.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 */
import { badRequest, invalidParam, MatrixError, notFound } from '../core/errors.ts';
import { ipKey, type RateLimiter } from '../http/limits.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import { type Database, UniqueViolation } from '../storage/database.ts';
import {
  deleteRegistrationToken,
  findRegistrationToken,
  insertRegistrationToken,
  listRegistrationTokens,
  type RegistrationTokenRow,
  returnRegistrationToken,
  updateRegistrationToken,
  useRegistrationToken,
} from '../storage/registration-tokens.ts';
import type { Stage } from './user-interactive-auth.ts';

/** What an admin says of a token; null: without end. */
export type TokenBounds = { readonly usesAllowed: number | null; readonly expiryMs: number | null };

/** The specification's opaque identifiers. */
const FORM = /^[A-Za-z0-9._~-]{1,64}$/;
const LENGTH_DEFAULT = 16;
const TOKENS_MAX = 10_000;
const GUESS_LIMIT = 'registrationTokenValidity';

const unknownToken = (): MatrixError =>
  new MatrixError(401, 'M_UNAUTHORIZED', 'The registration token is not known, is used up or has expired.');

export class RegistrationTokens {
  readonly #deps: { db: Database; clock: Clock; random: Random; limiter: RateLimiter };

  constructor(deps: { db: Database; clock: Clock; random: Random; limiter: RateLimiter }) {
    this.#deps = deps;
  }

  /** Whether somebody could register with a token now. */
  async isValid(token: string): Promise<boolean> {
    if (!FORM.test(token)) return false;
    const row = await findRegistrationToken(this.#deps.db, token);
    return row !== undefined && this.#isGood(row);
  }

  #isGood({ usesAllowed, completed, expiryMs }: RegistrationTokenRow): boolean {
    return (
      (usesAllowed === null || completed < usesAllowed) && (expiryMs === null || expiryMs > this.#deps.clock.now())
    );
  }

  /** Uses a token once. Throws 401 M_UNAUTHORIZED where it is good no more: of two who come for the last use one gets it. */
  async use(token: string): Promise<void> {
    const { db, clock } = this.#deps;
    const used = await db.write((tx) => tx.run(useRegistrationToken(token, clock.now())));
    if (used === 0) throw unknownToken();
  }

  /** Gives a use back, where no account came of it. */
  async giveBack(token: string): Promise<void> {
    await this.#deps.db.commit([returnRegistrationToken(token)]);
  }

  /** The stage `m.login.registration_token`, which notes the token. Who comes too often from one address waits. */
  get stage(): Stage {
    return {
      check: async ({ token }, { ip }) => {
        const { limiter } = this.#deps;
        if (typeof token !== 'string') throw badRequest('M_MISSING_PARAM', 'The stage needs a token.');
        // Before it is looked up, so that guesses made at one time count too.
        limiter.spend(GUESS_LIMIT, ipKey(ip));
        if (!(await this.isValid(token))) throw unknownToken();
        return token;
      },
    };
  }

  /** All tokens, or those that are good now (`true`) or are not (`false`). */
  async list(isValid: boolean | null): Promise<RegistrationTokenRow[]> {
    const rows = await listRegistrationTokens(this.#deps.db, TOKENS_MAX);
    return isValid === null ? rows : rows.filter((row) => this.#isGood(row) === isValid);
  }

  /** @throws MatrixError 404 */
  async get(token: string): Promise<RegistrationTokenRow> {
    const row = await findRegistrationToken(this.#deps.db, token);
    if (row === undefined) throw notFound('There is no such registration token.');
    return row;
  }

  /** Makes a token, of a given text or of chance. Throws 400 for a text or bounds that cannot be, or a token that is there. */
  async create(
    wish: { readonly token: string | null; readonly length: number | null },
    bounds: TokenBounds,
  ): Promise<RegistrationTokenRow> {
    const { db, random } = this.#deps;
    const length = wish.length ?? LENGTH_DEFAULT;
    if (length < 1 || length > 64) throw invalidParam('length: must be from 1 to 64.');
    const token = wish.token ?? random.text(length);
    if (!FORM.test(token)) throw invalidParam('token: must be 1 to 64 of A-Z, a-z, 0-9 and . _ ~ -');
    this.#checkBounds(bounds);
    const row = { token, completed: 0, ...bounds };
    try {
      await db.commit([insertRegistrationToken(row)]);
    } catch (error) {
      if (error instanceof UniqueViolation) throw invalidParam('token: there is such a token already.');
      throw error;
    }
    return row;
  }

  /** Gives a token other bounds; what is undefined stays. Throws 404, 400. */
  async update(token: string, change: Partial<TokenBounds>): Promise<RegistrationTokenRow> {
    const row = { ...(await this.get(token)), ...change };
    this.#checkBounds(change);
    await this.#deps.db.commit([updateRegistrationToken(row)]);
    return row;
  }

  #checkBounds({ usesAllowed = null, expiryMs = null }: Partial<TokenBounds>): void {
    if (usesAllowed !== null && usesAllowed < 0) throw invalidParam('uses_allowed: must not be negative.');
    if (expiryMs !== null && expiryMs <= this.#deps.clock.now()) throw invalidParam('expiry_time: is in the past.');
  }

  /** @throws MatrixError 404 */
  async remove(token: string): Promise<void> {
    await this.get(token);
    await this.#deps.db.commit([deleteRegistrationToken(token)]);
  }
}
