/**
 * The keys of other servers: whom to ask for them, and which of them counts for what was signed when.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
 */
import { LRUCache } from 'lru-cache';
import { FEDERATION } from '../contracts/federation/index.ts';
import type { InputOf, Operation, ReplyOf } from '../contracts/operation.ts';
import type { ServerName } from '../core/ids.ts';
import { readServerKeys, type ServerKey } from '../core/server-keys.ts';
import type { SigningKey } from '../core/signing.ts';
import type { Clock } from '../kit/clock.ts';
import { atMost } from '../kit/lru-bound.ts';
import { reasonOf } from './remote-error.ts';
import type { PublicKeys } from './request-guard.ts';

/** Who calls other servers. `FederationClient` does. */
export interface ServerCaller {
  call<O extends Operation & { readonly replyKind: 'json' }>(
    destination: ServerName,
    operation: O,
    input: InputOf<O>,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal; readonly ignoresBackOff?: boolean },
  ): Promise<ReplyOf<O>>;
}

/** A key that is wanted. */
export type KeyAsk = {
  readonly serverName: ServerName;
  readonly keyId: string;
  /** When something was signed with it; null where that does not matter (room versions 1 to 4). */
  readonly atMs: number | null;
};

export type KeyringDeps = {
  readonly serverName: ServerName;
  /** Our own. */
  readonly signingKeys: readonly SigningKey[];
  readonly caller: ServerCaller;
  readonly clock: Clock;
  readonly log: { debug(message: string, fields?: object): void };
};

/** What is known of a server: its keys by ID. */
type KnownServer = {
  readonly keys: Map<string, ServerKey>;
  /** When it was asked for the last time. */
  askedMs: number;
};

const SERVERS_MAX = 10_000;
const ASK_TIMEOUT_MS = 10_000;
/** Who names keys that a server does not have must not make us ask it each time. */
const ASKED_AGAIN_AFTER_MS = 30_000;

export class Keyring implements PublicKeys {
  readonly #deps: KeyringDeps;
  readonly #servers = new LRUCache<ServerName, KnownServer>(atMost(SERVERS_MAX));
  readonly #asking = new Map<ServerName, Promise<void>>();

  constructor(deps: KeyringDeps) {
    this.#deps = deps;
  }

  /**
   * The public key (unpadded base64) that a server signs with under an ID, where what it signed at a time counts; at
   * any time, for null. Null where nobody could show such a key. Never throws.
   */
  async publicKey(serverName: ServerName, keyId: string, atMs: number | null): Promise<string | null> {
    const [found] = await this.publicKeys([{ serverName, keyId, atMs }]);
    return found ?? null;
  }

  /** The same for many at once, in their order: each server is asked once, and all of them together. */
  async publicKeys(asks: readonly KeyAsk[]): Promise<(string | null)[]> {
    const found = asks.map((ask) => this.#find(ask));
    const missing = new Set(asks.filter((_, index) => found[index] === null).map(({ serverName }) => serverName));
    if (missing.size === 0) return found;
    await Promise.all([...missing].map((serverName) => this.#ask(serverName)));
    return asks.map((ask, index) => found[index] ?? this.#find(ask));
  }

  #find({ serverName, keyId, atMs }: KeyAsk): string | null {
    const { serverName: ourName, signingKeys } = this.#deps;
    if (serverName === ourName) return signingKeys.find((key) => key.keyId === keyId)?.publicKey ?? null;
    const key = this.#servers.get(serverName)?.keys.get(keyId);
    if (key === undefined) return null;
    return atMs === null || atMs <= key.validUntilMs ? key.publicKey : null;
  }

  /** Asks a server itself, where that was not done just now. Never rejects. */
  #ask(serverName: ServerName): Promise<void> {
    if (serverName === this.#deps.serverName) return Promise.resolve();
    let asking = this.#asking.get(serverName);
    if (asking === undefined) {
      const known = this.#servers.get(serverName);
      if (known !== undefined && this.#deps.clock.now() < known.askedMs + ASKED_AGAIN_AFTER_MS)
        return Promise.resolve();
      asking = this.#askNow(serverName).finally(() => this.#asking.delete(serverName));
      this.#asking.set(serverName, asking);
    }
    return asking;
  }

  async #askNow(serverName: ServerName): Promise<void> {
    const { caller, clock, log } = this.#deps;
    const known = this.#servers.get(serverName) ?? { keys: new Map<string, ServerKey>(), askedMs: 0 };
    known.askedMs = clock.now();
    this.#servers.set(serverName, known);
    try {
      const said = await caller.call(serverName, FEDERATION.getServerKey, {}, { timeoutMs: ASK_TIMEOUT_MS });
      const read = readServerKeys(serverName, said, clock.now());
      if (!read.allowed) {
        log.debug(`The keys of ${serverName} are not usable.`, { reason: read.reason });
        return;
      }
      for (const key of read.keys) known.keys.set(key.keyId, key);
    } catch (error) {
      log.debug(`${serverName} does not tell its keys.`, { reason: reasonOf(error) });
    }
  }
}
