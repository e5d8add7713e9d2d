/** Hashing of passwords: slow on purpose, so bounded in length and in how many run at one time (threat D7). */
import { verify as verifyArgon2 } from '@node-rs/argon2';
import { compare, hash } from '@node-rs/bcrypt';
import { invalidParam, limitExceeded, MatrixError } from '../core/errors.ts';
import { KeyedQueue, QueueFull } from '../kit/queue.ts';

/** What a new password must have. */
export type PasswordPolicy = {
  readonly lengthMin: number;
  readonly needsDigit: boolean;
  readonly needsSymbol: boolean;
  readonly needsLowercase: boolean;
  readonly needsUppercase: boolean;
};

export type PasswordsDeps = {
  /** The cost: each round doubles the work. */
  readonly bcryptRounds: number;
  /** Added to each password. Passwords die when it changes. */
  readonly pepper: string | null;
  /** null where any password will do. */
  readonly policy: PasswordPolicy | null;
};

/** In UTF-16 units. Whoever sends more wants to burn our CPU. */
const PASSWORD_LENGTH_MAX = 512;
/** libuv has four threads; two are left for files and names. */
const HASHES_AT_ONCE = 2;
const HASHES_WAITING_MAX = 100;
const RETRY_AFTER_MS = 2000;

export class Passwords {
  readonly #deps: PasswordsDeps;
  readonly #pool = new KeyedQueue({ atOnce: HASHES_AT_ONCE, waitingMax: HASHES_WAITING_MAX });
  /** Has the form of a hash and is that of no password: comparing with it takes as long as with a real one. */
  readonly #nobodysHash: string;

  constructor(deps: PasswordsDeps) {
    this.#deps = deps;
    this.#nobodysHash = `$2b$${String(deps.bcryptRounds).padStart(2, '0')}$${'.'.repeat(53)}`;
  }

  /**
   * Refuses what may not become a password.
   *
   * @throws MatrixError 400 M_INVALID_PARAM where it is empty or too long, 400 M_WEAK_PASSWORD where it breaks the policy
   */
  checkNew(password: string): void {
    if (password === '') throw invalidParam('The password is empty.');
    if (password.length > PASSWORD_LENGTH_MAX) {
      throw invalidParam(`A password has at most ${PASSWORD_LENGTH_MAX} characters.`);
    }
    const { policy } = this.#deps;
    if (policy === null) return;
    const weak = (sentence: string): MatrixError => new MatrixError(400, 'M_WEAK_PASSWORD', sentence);
    if ([...password].length < policy.lengthMin) {
      throw weak(`The password must have at least ${policy.lengthMin} characters.`);
    }
    if (policy.needsDigit && !/\p{Nd}/u.test(password)) throw weak('The password must have a digit.');
    if (policy.needsLowercase && !/\p{Ll}/u.test(password)) throw weak('The password must have a lower-case letter.');
    if (policy.needsUppercase && !/\p{Lu}/u.test(password)) throw weak('The password must have an upper-case letter.');
    if (policy.needsSymbol && !/[^\p{L}\p{N}]/u.test(password)) throw weak('The password must have a symbol.');
  }

  /**
   * The hash to store.
   *
   * @throws MatrixError 429 where too many are being made
   */
  hash(password: string): Promise<string> {
    return this.#inPool(() => hash(this.#bytes(password), this.#deps.bcryptRounds));
  }

  /**
   * Whether a password is the one that was hashed. Takes as long where there is no hash: nobody learns from the time
   * who has an account (threat D16).
   *
   * @throws MatrixError 429 where too many are being checked
   */
  async matches(password: string, stored: string | null): Promise<boolean> {
    if (password.length > PASSWORD_LENGTH_MAX) return false;
    const against = stored ?? this.#nobodysHash;
    const isSame = await this.#inPool(() => {
      return against.startsWith('$argon2')
        ? verifyArgon2(against, this.#bytes(password))
        : compare(this.#bytes(password), against);
    });
    return isSame && stored !== null;
  }

  /** As Synapse hashes, so that a database can be taken over with its passwords. */
  #bytes(password: string): Buffer {
    return Buffer.from(password.normalize('NFKC') + (this.#deps.pepper ?? ''), 'utf8');
  }

  async #inPool<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#pool.run('', work);
    } catch (error) {
      if (error instanceof QueueFull) throw limitExceeded(RETRY_AFTER_MS);
      throw error;
    }
  }
}
