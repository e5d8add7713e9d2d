/**
 * New accounts: who may have which name, and what an account begins with.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#account-registration
 */
import { badRequest, forbidden, MatrixError, missingParam } from '../core/errors.ts';
import { isValidLocalpart, isValidLocalUserId, localpartOf, type ServerName, type UserId } from '../core/ids.ts';
import type { RequestFacts } from '../http/endpoint.ts';
import type { Guard } from '../http/guard.ts';
import { ipKey, type RateLimiter } from '../http/limits.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import { insertUser, listUsersIgnoringCase, upgradeGuest } from '../storage/accounts.ts';
import { type Database, UniqueViolation } from '../storage/database.ts';
import { deleteDevices, deleteTokensOfUser } from '../storage/devices.ts';
import { upsertPolicyConsent } from '../storage/policy-consents.ts';
import { insertFirstProfile } from '../storage/profiles.ts';
import type { Statement } from '../storage/sql.ts';
import { upsertUserChange } from '../storage/user-directory.ts';
import type { Stream } from '../stream/stream.ts';
import type { Devices, DeviceWish, Session } from './devices.ts';
import type { Passwords } from './passwords.ts';
import type { Flows } from './user-interactive-auth.ts';

export type RegistrationDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly random: Random;
  readonly serverName: ServerName;
  readonly passwords: Passwords;
  readonly devices: Devices;
  readonly accessTokens: Guard & { forget(userId: UserId): void };
  readonly limiter: RateLimiter;
  /** Whether people may register themselves. */
  readonly isOpen: boolean;
  /** What they must prove. */
  readonly flows: Flows;
  readonly allowsGuests: boolean;
  readonly mayLocalpartBeginWithUnderscore: boolean;
  /** Whether `checkAvailable` keeps to itself that a name is taken. */
  readonly hidesTakenNames: boolean;
  readonly defaultUserType: string | null;
  /** What follows when an account was made. */
  readonly onRegistered: (userId: UserId, isGuest: boolean) => Promise<void>;
};

export type NewAccount = {
  /** null: one is made up. */
  readonly localpart: string | null;
  readonly password: string | null;
  readonly displayName?: string;
  readonly isAdmin?: boolean;
  readonly userType?: string | null;
  /** The guest who becomes this user, as `guestOf` gave it; no other guest, and no other name. */
  readonly guest?: UserId | null;
  /** The version of the policies that was agreed to, where that was asked. */
  readonly agreedPolicies?: string | null;
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

  /** What people must prove who register themselves. */
  get flows(): Flows {
    return this.#deps.flows;
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

  /** Refuses what may not become a password: throws as `Passwords.checkNew` does. */
  checkPassword(password: string): void {
    this.#deps.passwords.checkNew(password);
  }

  /**
   * The guest whom an access token belongs to, and who wants to become a user of the same name.
   *
   * @throws MatrixError 400 M_MISSING_PARAM where no name is given, 403 where it is not the guest's, or the token is of
   *   nobody or of a user
   */
  async guestOf(token: string, wanted: string | null, request: RequestFacts): Promise<UserId> {
    const facts = { name: 'register', allowsLocked: false };
    let requester: Awaited<ReturnType<Guard['identify']>> | null;
    try {
      requester = await this.#deps.accessTokens.identify(token, request, facts);
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      requester = null;
    }
    if (requester?.isGuest !== true) throw forbidden('The guest access token is not one of a guest.');
    if (wanted === null) throw missingParam('To become a user, a guest gives its own user name.');
    if (wanted !== localpartOf(requester.userId)) throw forbidden('A guest becomes the user of its own name only.');
    return requester.userId;
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
   * Makes an account, or a user of a guest.
   *
   * @throws MatrixError 400 where the name is taken or wrong, or the password may not become one; 429
   */
  async register(account: NewAccount): Promise<{ userId: UserId; session: Session | null }> {
    const { random, passwords, limiter, defaultUserType } = this.#deps;
    if (account.ip !== null) limiter.spend('registration', ipKey(account.ip));
    const localpart = account.localpart ?? `u${random.text(MADE_UP_LENGTH).toLowerCase()}`;
    const userId = account.guest ?? (await this.checkName(localpart));
    if (account.password !== null) passwords.checkNew(account.password);
    const passwordHash = account.password === null ? null : await passwords.hash(account.password);
    const { agreedPolicies = null } = account;
    const nowMs = this.#deps.clock.now();
    const fields = {
      passwordHash,
      userType: account.userType ?? defaultUserType,
      also: [
        insertFirstProfile(userId, account.displayName ?? localpartOf(userId)),
        ...(agreedPolicies === null ? [] : [upsertPolicyConsent(userId, agreedPolicies, nowMs)]),
      ],
    };
    return account.guest === undefined || account.guest === null
      ? this.#insert(userId, account.device, { ...fields, isAdmin: account.isAdmin ?? false, isGuest: false })
      : this.#upgrade(userId, account.device, fields);
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
    await this.#deps.onRegistered(userId, account.isGuest);
    return { userId, session: opened?.session ?? null };
  }

  /** What the guest was logged in with ends: it was given to whoever asked. */
  async #upgrade(
    userId: UserId,
    device: DeviceWish | null,
    account: { passwordHash: string | null; userType: string | null; also: readonly Statement[] },
  ): Promise<{ userId: UserId; session: Session | null }> {
    const { db, stream, devices, accessTokens } = this.#deps;
    const opened = device === null ? null : devices.prepare(userId, device);
    const old = (await devices.list(userId)).map(({ deviceId }) => deviceId);
    const position = stream.issue();
    try {
      await db.write(async (tx) => {
        // Two asked at one time, or the account was closed meanwhile.
        if ((await tx.run(upgradeGuest(userId, account))) === 0) throw userInUse();
        const statements = [
          deleteTokensOfUser(userId, null),
          deleteDevices(userId, old),
          ...account.also,
          upsertUserChange(userId, position),
          ...(opened?.statements ?? []),
        ];
        for (const statement of statements) await tx.run(statement);
      });
    } catch (error) {
      stream.release(position);
      throw error;
    }
    stream.publish({ kind: 'profile', roomNo: null, about: userId, users: [], position });
    accessTokens.forget(userId);
    await this.#deps.onRegistered(userId, false);
    return { userId, session: opened?.session ?? null };
  }
}
