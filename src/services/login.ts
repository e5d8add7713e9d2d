/**
 * Logging in.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#login
 */
import { userLocked } from '../core/errors.ts';
import type { RateLimiter } from '../http/limits.ts';
import type { Accounts } from './accounts.ts';
import type { Devices, DeviceWish, Session } from './devices.ts';

export type LoginDeps = {
  readonly accounts: Accounts;
  readonly devices: Devices;
  readonly limiter: RateLimiter;
  /** Whether a password is enough to log in. */
  readonly allowsPassword: boolean;
};

export class Login {
  readonly #deps: LoginDeps;

  constructor(deps: LoginDeps) {
    this.#deps = deps;
  }

  /** The login types on offer. */
  get types(): readonly string[] {
    return this.#deps.allowsPassword ? ['m.login.password'] : [];
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
