/** Registration by whoever knows the server's shared secret, as `register_new_matrix_user` does it. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { badRequest, MatrixError } from '../core/errors.ts';
import type { Clock } from '../kit/clock.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Random } from '../kit/random.ts';
import type { Session } from './devices.ts';
import type { Registration } from './registration.ts';

export type SharedSecretRegistrationDeps = {
  readonly registration: Registration;
  readonly clock: Clock;
  readonly random: Random;
  /** null where nobody may register so. */
  readonly sharedSecret: string | null;
};

export type SharedSecretRequest = {
  readonly nonce: string;
  readonly username: string;
  readonly password: string;
  readonly isAdmin: boolean;
  readonly userType: string | null;
  readonly displayName: string | null;
  /** Hexadecimal HMAC-SHA1 over the nonce, name, password, `admin` or `notadmin` and user type, joined by NUL. */
  readonly mac: string;
};

const NONCE_LIFETIME_MS = 60_000;
const NONCES_MAX = 10_000;
const NONCE_LENGTH = 32;

export class SharedSecretRegistration {
  readonly #deps: SharedSecretRegistrationDeps;
  /** Until when each nonce is good. */
  readonly #nonces = new LRUCache<string, number>(atMost(NONCES_MAX));

  constructor(deps: SharedSecretRegistrationDeps) {
    this.#deps = deps;
  }

  /** A number for one registration within a minute. */
  makeNonce(): string {
    this.#secret();
    const { random, clock } = this.#deps;
    const nonce = random.text(NONCE_LENGTH);
    this.#nonces.set(nonce, clock.now() + NONCE_LIFETIME_MS);
    return nonce;
  }

  /**
   * Makes the account, whether registration is open or not.
   *
   * @throws MatrixError 400 where the nonce is not good or the name is taken, 403 where the HMAC is wrong
   */
  async register(request: SharedSecretRequest): Promise<Session> {
    const secret = this.#secret();
    const validUntilMs = this.#nonces.get(request.nonce);
    // Whatever comes of it, a nonce is good once.
    this.#nonces.delete(request.nonce);
    if (validUntilMs === undefined || this.#deps.clock.now() >= validUntilMs) {
      throw badRequest('M_UNKNOWN', 'The nonce is not known.');
    }
    const parts = [request.nonce, request.username, request.password, request.isAdmin ? 'admin' : 'notadmin'];
    if (request.userType !== null) parts.push(request.userType);
    checkMac(secret, parts.join('\0'), request.mac);
    return this.#make(request);
  }

  /**
   * Makes an account as the oldest scripts ask for it: without a nonce, and with an HMAC of the name alone.
   *
   * @throws MatrixError 400 where the name is taken, 403 where the HMAC is wrong
   */
  async registerOldForm(request: Pick<SharedSecretRequest, 'username' | 'password' | 'mac'>): Promise<Session> {
    checkMac(this.#secret(), request.username, request.mac);
    return this.#make({ ...request, isAdmin: false, userType: null, displayName: null });
  }

  async #make(request: Omit<SharedSecretRequest, 'nonce' | 'mac'>): Promise<Session> {
    const { session } = await this.#deps.registration.register({
      localpart: request.username,
      password: request.password,
      isAdmin: request.isAdmin,
      userType: request.userType,
      device: { deviceId: null, displayName: null },
      ip: null,
      ...(request.displayName === null ? {} : { displayName: request.displayName }),
    });
    if (session === null) throw new Error('A new account was not logged in.');
    return session;
  }

  #secret(): string {
    const { sharedSecret } = this.#deps;
    if (sharedSecret === null) throw badRequest('M_UNKNOWN', 'Registration by a shared secret is not set up.');
    return sharedSecret;
  }
}

function checkMac(secret: string, text: string, mac: string): void {
  const wanted = createHmac('sha1', secret).update(text).digest();
  const given = Buffer.from(mac, 'hex');
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new MatrixError(403, 'M_UNKNOWN', 'The HMAC is wrong.');
  }
}
