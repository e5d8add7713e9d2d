/**
 * Credentials for TURN servers, which carry calls between clients that cannot reach each other.
 * The way of the user name with an expiry: https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00
 */
import { createHmac } from 'node:crypto';
import type { Config } from '../config/config.ts';
import type { UserId } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';

export type TurnCredentials = {
  readonly username: string;
  readonly password: string;
  readonly uris: readonly string[];
  readonly lifetimeMs: number;
};

export class Turn {
  readonly #config: Config['turn'];
  readonly #clock: Clock;

  constructor(deps: { config: Config['turn']; clock: Clock }) {
    this.#config = deps.config;
    this.#clock = deps.clock;
  }

  /** What a user's client gets the TURN servers with; null where there are none, or none for guests. */
  credentialsFor(user: { readonly userId: UserId; readonly isGuest: boolean }): TurnCredentials | null {
    const { uris, sharedSecret, userLifetimeMs: lifetimeMs, allowsGuests } = this.#config;
    if (uris.length === 0 || (user.isGuest && !allowsGuests)) return null;
    if (sharedSecret !== null) {
      const expirySeconds = Math.floor((this.#clock.now() + lifetimeMs) / 1000);
      const username = `${expirySeconds}:${user.userId}`;
      const password = createHmac('sha1', sharedSecret).update(username).digest('base64');
      return { username, password, uris, lifetimeMs };
    }
    const { username, password } = this.#config;
    return username === null || password === null ? null : { username, password, uris, lifetimeMs };
  }
}
