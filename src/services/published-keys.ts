/** The keys with which this server signs, as it tells them to others. */
import type { JsonObject } from '../core/json-value.ts';
import { buildServerKeys } from '../core/server-keys.ts';
import type { SigningKey } from '../core/signing.ts';
import type { Clock } from '../kit/clock.ts';

export type PublishedKeysDeps = {
  readonly serverName: string;
  /** All of the key file, also those that only used to sign first. */
  readonly signingKeys: readonly SigningKey[];
  /** Retired ones, by ID (`old_signing_keys`). */
  readonly oldKeys: Readonly<Record<string, { readonly key: string; readonly expiredTs: number }>>;
  /** How long others may keep our word. */
  readonly validityMs: number;
  readonly clock: Clock;
};

export class PublishedKeys {
  readonly #deps: PublishedKeysDeps;
  #kept: { readonly json: JsonObject; readonly validUntilMs: number } | null = null;

  constructor(deps: PublishedKeysDeps) {
    this.#deps = deps;
  }

  /** Our word, signed by each of our keys; good for at least half of its validity from now on. */
  current(): JsonObject {
    const { serverName, signingKeys: keys, oldKeys, validityMs, clock } = this.#deps;
    // Signing it anew for everybody who asks would cost more than all the rest of the answer.
    if (this.#kept !== null && clock.now() < this.#kept.validUntilMs - validityMs / 2) return this.#kept.json;
    const validUntilMs = clock.now() + validityMs;
    this.#kept = { json: buildServerKeys({ serverName, keys, oldKeys, validUntilMs }), validUntilMs };
    return this.#kept.json;
  }
}
