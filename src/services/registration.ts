/**
 * New accounts: who may have which name, and what an account begins with.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#account-registration
 */
import { badRequest, forbidden, MatrixError } from '../core/errors.ts';
import { isValidLocalpart, isValidLocalUserId, localpartOf, type ServerName, type UserId } from '../core/ids.ts';
import { ipKey, type RateLimiter } from '../http/limits.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import { insertUser, listUsersIgnoringCase } from '../storage/accounts.ts';
import { type Database, UniqueViolation } from '../storage/database.ts';
import { insertFirstProfile } from '../storage/profiles.ts';
import type { Statement } from '../storage/sql.ts';
import { upsertUserChange } from '../storage/user-directory.ts';
import type { Stream } from '../stream/stream.ts';
import type { Devices, DeviceWish, Session } from './devices.ts';
import type { Passwords } from './passwords.ts';

export type RegistrationDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly random: Random;
  readonly serverName: ServerName;
  readonly passwords: Passwords;
  readonly devices: Devices;
  readonly limiter: RateLimiter;
  /** Whether people may register themselves. */
  readonly isOpen: boolean;
  readonly allowsGuests: boolean;
  readonly mayLocalpartBeginWithUnderscore: boolean;
  /** Whether `checkAvailable` keeps to itself that a name is taken. */
  readonly hidesTakenNames: boolean;
  readonly defaultUserType: string | null;
};

export type NewAccount = {
  /** null: one is made up. */
  readonly localpart: string | null;
  readonly password: string | null;
  readonly displayName?: string;
  readonly isAdmin?: boolean;
  readonly userType?: string | null;
  /** null where the account shall not be logged in. */
  readonly device: DeviceWish | null;
  /** Where somebody registers from; null where an admin does, whom no limit holds back. */
  readonly ip: string | null;
};

const GUEST_NUMBER_MAX = 10 ** 12;
const MADE_UP_LENGTH = 12;

const userInUse = (): MatrixError => badRequest('M_USER_IN_USE', 'User ID already taken.');
const invalidName = (message: string): MatrixError => badRequest('M_INVALID_USERNAME', message);

export class Registration {
  readonly #deps: RegistrationDeps;

  constructor(deps: RegistrationDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError 403 where people may not register themselves */
  checkOpen(): void {
    if (!this.#deps.isOpen) throw forbidden('Registration is closed on this server.');
  }

  /**
   * The user ID for a wanted name, in lower case.
   *
   * @throws MatrixError 400 M_INVALID_USERNAME where no account may be called so, M_USER_IN_USE where one is
   */
  async checkName(wanted: string): Promise<UserId> {
    const userId = this.#userIdOf(wanted);
    if ((await listUsersIgnoringCase(this.#deps.db, userId)).length > 0) throw userInUse();
    return userId;
  }

  /** As `checkName`, for those who only ask. */
  async checkAvailable(wanted: string): Promise<void> {
    this.checkOpen();
    if (this.#deps.hidesTakenNames) this.#userIdOf(wanted);
    else await this.checkName(wanted);
  }

  #userIdOf(wanted: string): UserId {
    const { serverName, mayLocalpartBeginWithUnderscore } = this.#deps;
    // Only A to Z: what else folds to a letter, such as the Kelvin sign, is a lookalike (threat D12).
    const localpart = wanted.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    const userId = `@${localpart}:${serverName}`;
    if (!isValidLocalUserId(userId)) {
      const isTooLong = isValidLocalpart(localpart);
      throw invalidName(
        isTooLong
          ? 'The user name is too long.'
          : 'A user name has only the letters a to z, digits and the characters . _ = - / +',
      );
    }
    if (localpart.startsWith('_') && !mayLocalpartBeginWithUnderscore) {
      throw invalidName('A user name may not begin with an underscore.');
    }
    if (/^\d+$/.test(localpart)) throw invalidName('A user name of digits alone is kept for guests.');
    return userId;
  }

  /**
   * Makes an account.
   *
   * @throws MatrixError 400 where the name is taken or wrong, or the password may not become one; 429
   */
  async register(account: NewAccount): Promise<{ userId: UserId; session: Session | null }> {
    const { random, passwords, limiter, defaultUserType } = this.#deps;
    if (account.ip !== null) limiter.spend('registration', ipKey(account.ip));
    const localpart = account.localpart ?? `u${random.text(MADE_UP_LENGTH).toLowerCase()}`;
    const userId = await this.checkName(localpart);
    if (account.password !== null) passwords.checkNew(account.password);
    const passwordHash = account.password === null ? null : await passwords.hash(account.password);
    const displayName = account.displayName ?? localpartOf(userId);
    return this.#insert(userId, account.device, {
      passwordHash,
      isAdmin: account.isAdmin ?? false,
      isGuest: false,
      userType: account.userType ?? defaultUserType,
      also: [insertFirstProfile(userId, displayName)],
    });
  }

  /**
   * Makes a guest.
   *
   * @throws MatrixError 403 M_GUEST_ACCESS_FORBIDDEN where guests are not let in, 429
   */
  async registerGuest(ip: string, device: DeviceWish): Promise<Session> {
    const { allowsGuests, limiter, random, serverName } = this.#deps;
    if (!allowsGuests) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'This server lets no guests in.');
    limiter.spend('registration', ipKey(ip));
    // Digits and the server's own name need no parsing.
    const userId = `@${random.integer(GUEST_NUMBER_MAX)}:${serverName}` as UserId;
    const { session } = await this.#insert(userId, device, {
      passwordHash: null,
      isAdmin: false,
      isGuest: true,
      userType: null,
      also: [],
    });
    if (session === null) throw new Error('A guest was not logged in.');
    return session;
  }

  async #insert(
    userId: UserId,
    device: DeviceWish | null,
    account: {
      passwordHash: string | null;
      isAdmin: boolean;
      isGuest: boolean;
      userType: string | null;
      also: readonly Statement[];
    },
  ): Promise<{ userId: UserId; session: Session | null }> {
    const { stream, clock, devices } = this.#deps;
    const opened = device === null ? null : devices.prepare(userId, device);
    const { also, ...fields } = account;
    try {
      await stream.record({ kind: 'profile', roomNo: null, about: userId, users: [] }, (position) => [
        insertUser({
          userId,
          createdMs: clock.now(),
          isDeactivated: false,
          isErased: false,
          isLocked: false,
          isSuspended: false,
          appserviceId: null,
          ...fields,
        }),
        ...also,
        upsertUserChange(userId, position),
        ...(opened?.statements ?? []),
      ]);
    } catch (error) {
      // Two asked for the name at one time.
      if (error instanceof UniqueViolation) throw userInUse();
      throw error;
    }
    return { userId, session: opened?.session ?? null };
  }
}
