/** The accounts of this server's users: finding them, their passwords, their end. */
import { forbidden, limitExceeded, notFound } from '../core/errors.ts';
import { parseUserId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import type { RateLimiter } from '../http/limits.ts';
import { deactivateUser, findUser, listUsersIgnoringCase, type UserRow, updatePassword } from '../storage/accounts.ts';
import type { Database } from '../storage/database.ts';
import { deleteProfile } from '../storage/profiles.ts';
import { upsertUserChange } from '../storage/user-directory.ts';
import type { Stream } from '../stream/stream.ts';
import type { AccessTokens } from './access-tokens.ts';
import type { Devices } from './devices.ts';
import type { Passwords } from './passwords.ts';

export type AccountsDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly serverName: ServerName;
  readonly passwords: Passwords;
  readonly accessTokens: AccessTokens;
  readonly devices: Devices;
  readonly limiter: RateLimiter;
};

export class Accounts {
  readonly #deps: AccountsDeps;

  constructor(deps: AccountsDeps) {
    this.#deps = deps;
  }

  find(userId: UserId): Promise<UserRow | undefined> {
    return findUser(this.#deps.db, userId);
  }

  /** @throws MatrixError 404 where this server has no such account */
  async get(userId: UserId): Promise<UserRow> {
    const user = await this.find(userId);
    if (user === undefined) throw notFound('This server has no such user.');
    return user;
  }

  /** Whether a user ID is of this server, whether there is such an account or not. */
  isLocal(userId: UserId): boolean {
    return serverNameOf(userId) === this.#deps.serverName;
  }

  /**
   * The account that somebody means at a login: a whole user ID or its localpart; the case of letters counts only where
   * accounts differ in nothing else.
   */
  async findByLoginName(name: string): Promise<UserRow | undefined> {
    const userId = this.#userIdOfName(name);
    if (userId === null) return undefined;
    const candidates = await listUsersIgnoringCase(this.#deps.db, userId);
    return candidates.find((user) => user.userId === userId) ?? (candidates.length === 1 ? candidates[0] : undefined);
  }

  #userIdOfName(name: string): UserId | null {
    const { serverName } = this.#deps;
    const userId = parseUserId(name.startsWith('@') ? name : `@${name}:${serverName}`);
    return userId !== null && this.isLocal(userId) ? userId : null;
  }

  /**
   * The account behind a login name and a password. One answer, and one time to give it, for a wrong name and a wrong
   * password (threat D16). Failures of one account are counted: past the limit not even the right password is looked at.
   *
   * @throws MatrixError 403 M_FORBIDDEN, 429 where too many failed before
   */
  async checkPassword(name: string, password: string): Promise<UserRow> {
    const { passwords, limiter } = this.#deps;
    const user = await this.findByLoginName(name);
    const key = user?.userId ?? this.#userIdOfName(name)?.toLowerCase() ?? name.slice(0, 255);
    const waitMs = limiter.waitMs('loginFailedAttempts', key);
    if (waitMs > 0) throw limitExceeded(waitMs);
    const isUsable = user !== undefined && !user.isDeactivated;
    const isRight = await passwords.matches(password, isUsable ? user.passwordHash : null);
    if (!isUsable || !isRight) {
      limiter.spend('loginFailedAttempts', key);
      throw forbidden('The user name or password is wrong.');
    }
    return user;
  }

  /** Refuses what may not become a password: throws as `Passwords.checkNew` does. */
  checkNewPassword(password: string): void {
    this.#deps.passwords.checkNew(password);
  }

  /**
   * Sets a password.
   *
   * @throws MatrixError 400 where it may not become one
   */
  async setPassword(userId: UserId, password: string): Promise<void> {
    const { db, passwords } = this.#deps;
    passwords.checkNew(password);
    await db.commit([updatePassword(userId, await passwords.hash(password))]);
  }

  /** Closes an account for good: all its devices and tokens end, its password and profile go, its name stays taken. */
  async close(userId: UserId, options: { isErased: boolean }): Promise<void> {
    const { stream, accessTokens, devices } = this.#deps;
    await stream.record({ kind: 'profile', roomNo: null, about: userId, users: [] }, (position) => [
      deactivateUser(userId, options.isErased),
      deleteProfile(userId),
      upsertUserChange(userId, position),
    ]);
    accessTokens.forget(userId);
    await devices.deleteAll(userId);
  }
}
