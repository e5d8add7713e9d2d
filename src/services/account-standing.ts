/**
 * What admins do about accounts: locking one out, suspending one, and seeing from where one is used.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#server-administration
 */
import { forbidden, invalidParam, notFound } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import { setUserLocked, setUserSuspended, type UserRow } from '../storage/accounts.ts';
import type { Database } from '../storage/database.ts';
import type { AccessTokens } from './access-tokens.ts';
import type { Accounts } from './accounts.ts';
import type { Devices } from './devices.ts';
import type { LastSeen } from './last-seen.ts';

export type AccountStandingDeps = {
  readonly db: Database;
  readonly accounts: Accounts;
  readonly accessTokens: AccessTokens;
  readonly devices: Devices;
  readonly lastSeen: LastSeen;
};

export type Standing = Pick<UserRow, 'isLocked' | 'isSuspended'>;

export class AccountStanding {
  readonly #deps: AccountStandingDeps;

  constructor(deps: AccountStandingDeps) {
    this.#deps = deps;
  }

  /** Whether an account is locked or suspended. Throws 400 for a user of another server, 404 where there is none. */
  async get(userId: UserId): Promise<Standing> {
    const { accounts } = this.#deps;
    if (!accounts.isLocal(userId)) throw invalidParam('The user is of another server.');
    const user = await accounts.get(userId);
    if (user.isDeactivated) throw notFound('This server has no such user.');
    return user;
  }

  /** Locks an account out, or lets it in again. Throws as `get` does, and 403 for an admin's account. */
  async setLocked(adminId: UserId, userId: UserId, isLocked: boolean): Promise<void> {
    await this.#checkTarget(adminId, userId);
    await this.#deps.db.commit([setUserLocked(userId, isLocked)]);
    this.#deps.accessTokens.forget(userId);
  }

  /** Suspends an account, or lets it write again. Throws as `get` does, and 403 for an admin's account. */
  async setSuspended(adminId: UserId, userId: UserId, isSuspended: boolean): Promise<void> {
    await this.#checkTarget(adminId, userId);
    await this.#deps.db.commit([setUserSuspended(userId, isSuspended)]);
    this.#deps.accessTokens.forget(userId);
  }

  async #checkTarget(adminId: UserId, userId: UserId): Promise<void> {
    await this.get(userId);
    if (userId === adminId) throw forbidden('Admins cannot lock or suspend themselves.');
    if ((await this.#deps.accounts.get(userId)).isAdmin) throw forbidden('The user is an admin of this server.');
  }

  /** The devices of a user, with when and from where each was last used. Throws 404 where there is no such user. */
  async whois(userId: UserId) {
    await this.#deps.accounts.get(userId);
    // What was noted lately is told, too.
    await this.#deps.lastSeen.flush();
    return this.#deps.devices.list(userId);
  }
}
