/**
 * Logging in.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#login
 */
import { forbidden, userLocked } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import { ipKey, type RateLimiter } from '../http/limits.ts';
import type { Accounts } from './accounts.ts';
import type { Devices, DeviceWish, Session } from './devices.ts';
import type { ShortTokens } from './short-tokens.ts';

export type LoginDeps = {
  readonly accounts: Accounts;
  readonly devices: Devices;
  readonly limiter: RateLimiter;
  /** Whether a password is enough to log in. */
  readonly allowsPassword: boolean;
  readonly shortTokens: ShortTokens;
  /** Whether a device may log another one in, and how; null where not. */
  readonly ofOtherDevices: { readonly asksForProof: boolean; readonly lifetimeMs: number } | null;
};

export class Login {
  readonly #deps: LoginDeps;

  constructor(deps: LoginDeps) {
    this.#deps = deps;
  }

  /** The login types on offer. */
  get types(): readonly string[] {
    const { allowsPassword, ofOtherDevices } = this.#deps;
    return [...(allowsPassword ? ['m.login.password'] : []), ...(ofOtherDevices === null ? [] : ['m.login.token'])];
  }

  /** How devices log others in; null where they may not. */
  get ofOtherDevices(): LoginDeps['ofOtherDevices'] {
    return this.#deps.ofOtherDevices;
  }

  /** A token by which the user may log in on another device, once. */
  makeToken(userId: UserId, lifetimeMs: number): Promise<string> {
    return this.#deps.shortTokens.make('login', userId, lifetimeMs);
  }

  /**
   * Logs in with such a token.
   *
   * @throws MatrixError 403 where it is none, was used or has expired, 401 M_USER_LOCKED
   */
  async withToken(token: string, device: DeviceWish): Promise<Session> {
    const { accounts, devices, shortTokens } = this.#deps;
    const userId = await shortTokens.use('login', token);
    const user = userId === null ? undefined : await accounts.find(userId);
    if (user === undefined || user.isDeactivated) throw forbidden('The login token is not known, or has expired.');
    if (user.isLocked) throw userLocked();
    return devices.open(user.userId, device);
  }

  /** Counts a login from an address, where no endpoint's limit does. Throws 429. */
  spendOn(ip: string): void {
    this.#deps.limiter.spend('loginAddress', ipKey(ip));
  }

  /**
   * Logs in with a password.
   *
   * @throws MatrixError 403 where the name or the password is wrong, 401 M_USER_LOCKED, 429
   */
  async withPassword(name: string, password: string, device: DeviceWish): Promise<Session> {
    const { accounts, devices, limiter } = this.#deps;
    const user = await accounts.checkPassword(name, password);
    if (user.isLocked) throw userLocked();
    limiter.spend('loginAccount', user.userId);
    return devices.open(user.userId, device);
  }
}
