/**
 * The keys of other servers: whom to ask for them, and which of them counts for what was signed when.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
 */
import { LRUCache } from 'lru-cache';
import { FEDERATION } from '../contracts/federation/index.ts';
import type { ServerName } from '../core/ids.ts';
import { canonicalJson, parseJson } from '../core/json.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import { readServerKeys } from '../core/server-keys.ts';
import type { SigningKey } from '../core/signing.ts';
import type { Clock } from '../kit/clock.ts';
import type { Database } from '../storage/database.ts';
import {
  listServerKeys,
  listServerKeyWords,
  type ServerKeyWordRow,
  upsertServerKey,
  upsertServerKeyWord,
} from '../storage/server-keys.ts';
import { addWord, type KeyWindow, keyAt } from './key-windows.ts';
import { Notaries, type Notary, type NotaryAsk } from './notaries.ts';
import { reasonOf } from './remote-error.ts';
import type { PublicKeys } from './request-guard.ts';
import type { ServerCaller } from './server-caller.ts';

/** A key that is wanted. */
export type KeyAsk = {
  readonly serverName: ServerName;
  readonly keyId: string;
  /** When something was signed with it; null where that does not matter (room versions 1 to 4). */
  readonly atMs: number | null;
};

export type KeyringDeps = {
  readonly db: Database;
  readonly serverName: ServerName;
  /** Our own, and those of `old_signing_keys`. */
  readonly signingKeys: readonly Pick<SigningKey, 'keyId' | 'publicKey'>[];
  readonly notaries: readonly Notary[];
  readonly caller: ServerCaller;
  readonly clock: Clock;
  readonly log: {
    debug(message: string, fields?: object): void;
    info(message: string, fields?: object): void;
    warn(message: string): void;
    error(message: string, fields?: object): void;
  };
};

/** What is known of a server. */
type KnownServer = {
  /** By key ID, in the order of their times. */
  readonly windows: ReadonlyMap<string, readonly KeyWindow[]>;
  /** When it was asked, and a notary about it, for the last time. */
  readonly askedMs: number;
  readonly notaryAskedMs: number;
};

const UNKNOWN: KnownServer = {
  windows: new Map(),
  askedMs: Number.NEGATIVE_INFINITY,
  notaryAskedMs: Number.NEGATIVE_INFINITY,
};

/** What all servers in memory weigh: one each, and one for each key. About 10 MB. */
const WEIGHT_MAX = 50_000;
const ASK_TIMEOUT_MS = 10_000;
/** Those who take longer are asked on, and notaries about them at the same time. */
const PATIENCE_MS = 3000;
/** A key that is in use is asked for anew so long before its time ends, and not more often than that. */
const RENEWED_AHEAD_MS = 3_600_000;
const RENEWED_AGAIN_AFTER_MS = 10 * 60_000;
/** Who names keys that a server does not have must not make us ask it each time. */
const ASKED_AGAIN_AFTER_MS = 30_000;

export class Keyring implements PublicKeys {
  readonly #deps: KeyringDeps;
  readonly #notaries: Notaries;
  readonly #servers = new LRUCache<ServerName, KnownServer>({
    maxSize: WEIGHT_MAX,
    sizeCalculation: ({ windows }) => 1 + windows.size,
  });
  readonly #asking = new Map<ServerName, Promise<void>>();
  readonly #vouching = new Map<ServerName, Promise<void>>();

  constructor(deps: KeyringDeps) {
    const { caller, clock, log, notaries, serverName } = deps;
    this.#deps = deps;
    this.#notaries = new Notaries({
      notaries: notaries.filter((notary) => notary.serverName !== serverName),
      caller,
      // A notary's own keys come from itself: nobody else may vouch for it.
      keyOf: async (notary, keyId) => {
        const ask = { serverName: notary, keyId, atMs: clock.now() };
        await this.#load([notary]);
        if (this.#find(ask) === null) await this.#ask(notary, false);
        return this.#find(ask);
      },
      log,
    });
  }

  /**
   * The public key (unpadded base64) that a server signs with under an ID, where what it signed at a time counts; the
   * newest one, for null. Null where nobody could show such a key. For who asks us just now: a server that did not
   * answer lately is asked all the same.
   */
  async publicKey(serverName: ServerName, keyId: string, atMs: number | null): Promise<string | null> {
    const [found] = await this.publicKeys([{ serverName, keyId, atMs }], { ignoresBackOff: true });
    return found ?? null;
  }

  /**
   * The same for many at once, in their order. All servers are asked together and each once; notaries about those that
   * do not answer.
   */
  async publicKeys(
    asks: readonly KeyAsk[],
    { ignoresBackOff = false }: { readonly ignoresBackOff?: boolean } = {},
  ): Promise<(string | null)[]> {
    const missing = (): KeyAsk[] => asks.filter((ask) => this.#find(ask) === null && !this.#isOwn(ask.serverName));
    let left = missing();
    if (left.length > 0) {
      await this.#load(namesOf(left));
      left = missing();
    }
    if (left.length > 0) {
      const asking = Promise.all(namesOf(left).map((name) => this.#ask(name, ignoresBackOff)));
      await this.#withPatience(asking);
      left = missing();
      if (left.length > 0) await this.#askNotaries(left);
      if (missing().length > 0) await asking;
    }
    this.#renewSoonOver(asks);
    return asks.map((ask) => this.#find(ask));
  }

  /**
   * Asks servers whose keys are needed now and soon run out: whoever comes next then waits for nothing, and a server that is
   * away for a while just then is understood all the same.
   */
  #renewSoonOver(asks: readonly KeyAsk[]): void {
    const nowMs = this.#deps.clock.now();
    for (const serverName of namesOf(asks.filter(({ atMs }) => atMs !== null && atMs >= nowMs - RENEWED_AHEAD_MS))) {
      const known = this.#servers.get(serverName);
      if (known === undefined || nowMs < known.askedMs + RENEWED_AGAIN_AFTER_MS) continue;
      const untilMs = [...known.windows.values()].map((ofId) => ofId.at(-1)!.untilMs);
      const newestMs = Math.max(...untilMs);
      if (newestMs >= nowMs && newestMs < nowMs + RENEWED_AHEAD_MS) void this.#ask(serverName, false);
    }
  }

  /**
   * What servers say of their keys, as they signed it and good at least until a time: for those who ask us as a notary.
   * What is not is asked for; where that fails, the newest word that there is stands in.
   */
  async words(asks: ReadonlyMap<ServerName, NotaryAsk>): Promise<Map<ServerName, JsonObject>> {
    const { db } = this.#deps;
    const names = [...asks.keys()].filter((name) => !this.#isOwn(name));
    const read = async (): Promise<Map<ServerName, { row: ServerKeyWordRow; word: JsonObject }>> => {
      const rows = await listServerKeyWords(db, names);
      // What we wrote down ourselves is an object.
      return new Map(rows.map((row) => [row.serverName, { row, word: parseJson(row.word) as JsonObject }]));
    };
    let known = await read();
    const stale = names.filter((name) => {
      const found = known.get(name);
      const { keyIds, validUntilMs } = asks.get(name)!;
      if (found === undefined || found.row.validUntilMs < validUntilMs) return true;
      return [...keyIds].some((keyId) => !hasKey(found.word, keyId));
    });
    if (stale.length > 0) {
      await Promise.all(stale.map((name) => this.#ask(name, false)));
      known = await read();
    }
    return new Map([...known].map(([name, { word }]) => [name, word]));
  }

  #isOwn(serverName: ServerName): boolean {
    return serverName === this.#deps.serverName;
  }

  #find({ serverName, keyId, atMs }: KeyAsk): string | null {
    if (this.#isOwn(serverName)) {
      return this.#deps.signingKeys.find((key) => key.keyId === keyId)?.publicKey ?? null;
    }
    const known = this.#servers.get(serverName);
    return known === undefined ? null : keyAt(known.windows, keyId, atMs);
  }

  /** Reads what is stored of servers that are not in memory. */
  async #load(names: readonly ServerName[]): Promise<void> {
    const unread = names.filter((name) => !this.#servers.has(name));
    if (unread.length === 0) return;
    const windows = new Map(unread.map((name) => [name, new Map<string, KeyWindow[]>()]));
    for (const row of await listServerKeys(this.#deps.db, unread)) {
      const { publicKey, validFromMs: fromMs, validUntilMs: untilMs } = row;
      const ofServer = windows.get(row.serverName)!;
      ofServer.set(row.keyId, [...(ofServer.get(row.keyId) ?? []), { publicKey, fromMs, untilMs }]);
    }
    for (const [name, ofServer] of windows) {
      // Whoever was faster knows more.
      if (!this.#servers.has(name)) this.#servers.set(name, { ...UNKNOWN, windows: ofServer });
    }
  }

  /** Resolves when a promise has, and after a while anyway. */
  #withPatience(promise: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#deps.clock.after(PATIENCE_MS, resolve);
      void promise.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** Asks a server itself, where that was not done just now. Never rejects. */
  #ask(serverName: ServerName, ignoresBackOff: boolean): Promise<void> {
    if (this.#isOwn(serverName)) return Promise.resolve();
    let asking = this.#asking.get(serverName);
    if (asking === undefined) {
      const { askedMs } = this.#servers.get(serverName) ?? UNKNOWN;
      if (this.#deps.clock.now() < askedMs + ASKED_AGAIN_AFTER_MS) return Promise.resolve();
      asking = this.#askNow(serverName, ignoresBackOff).finally(() => this.#asking.delete(serverName));
      this.#asking.set(serverName, asking);
    }
    return asking;
  }

  async #askNow(serverName: ServerName, ignoresBackOff: boolean): Promise<void> {
    const { caller, clock, log } = this.#deps;
    try {
      // What it says is added to what is known of it already.
      await this.#load([serverName]);
      this.#servers.set(serverName, { ...(this.#servers.get(serverName) ?? UNKNOWN), askedMs: clock.now() });
      const options = { timeoutMs: ASK_TIMEOUT_MS, ignoresBackOff };
      const word = await caller.call(serverName, FEDERATION.getServerKey, {}, options);
      // The contract says that it is an object.
      await this.#hear(serverName, word as JsonObject, true);
    } catch (error) {
      log.debug(`${serverName} does not tell its keys.`, { reason: reasonOf(error) });
    }
  }

  /** Asks notaries, one after the other, about keys that are still missing. */
  async #askNotaries(missing: readonly KeyAsk[]): Promise<void> {
    const nowMs = this.#deps.clock.now();
    const joined: Promise<void>[] = [];
    const asks = new Map<ServerName, { keyIds: Set<string>; validUntilMs: number }>();
    for (const { serverName, keyId, atMs } of missing) {
      const running = this.#vouching.get(serverName);
      if (running !== undefined) joined.push(running);
      const known = this.#servers.get(serverName) ?? UNKNOWN;
      if (running !== undefined || nowMs < known.notaryAskedMs + ASKED_AGAIN_AFTER_MS) continue;
      const ask = asks.get(serverName) ?? { keyIds: new Set(), validUntilMs: 0 };
      ask.keyIds.add(keyId);
      // No notary can vouch for a time that no word reaches.
      ask.validUntilMs = Math.max(ask.validUntilMs, Math.min(atMs ?? 0, nowMs));
      asks.set(serverName, ask);
    }
    if (asks.size > 0 && this.#notaries.list.length > 0) {
      const vouching = this.#askNotariesNow(asks, missing);
      for (const name of asks.keys()) {
        this.#servers.set(name, { ...(this.#servers.get(name) ?? UNKNOWN), notaryAskedMs: nowMs });
        this.#vouching.set(name, vouching);
      }
      joined.push(vouching.finally(() => [...asks.keys()].forEach((name) => void this.#vouching.delete(name))));
    }
    await Promise.all(joined);
  }

  async #askNotariesNow(asks: ReadonlyMap<ServerName, NotaryAsk>, missing: readonly KeyAsk[]): Promise<void> {
    for (const notary of this.#notaries.list) {
      const names = new Set(namesOf(missing.filter((ask) => this.#find(ask) === null)));
      const open = new Map([...asks].filter(([name]) => names.has(name)));
      if (open.size === 0) return;
      for (const { serverName, word } of await this.#notaries.ask(notary, open)) {
        await this.#hear(serverName, word, false);
      }
    }
  }

  /** Takes the word of a server on its own keys, from itself or handed on by others, and writes it down. */
  async #hear(serverName: ServerName, word: JsonObject, isFresh: boolean): Promise<void> {
    const { clock, db, log } = this.#deps;
    const nowMs = clock.now();
    const read = readServerKeys(serverName, word, nowMs);
    if (!read.allowed) {
      log.info(`The keys of ${serverName} are not usable.`, { reason: read.reason });
      return;
    }
    if (read.hasKeyThatAllKnow) log.warn(`${serverName} has a key that all know: nothing that it signs counts.`);
    const known = this.#servers.get(serverName) ?? UNKNOWN;
    const { windows, changed } = addWord(known.windows, read.keys, { isFresh, nowMs });
    this.#servers.set(serverName, { ...known, windows });
    const keys = changed.flatMap((keyId) =>
      windows
        .get(keyId)!
        .map(({ publicKey, fromMs, untilMs }) =>
          upsertServerKey({ serverName, keyId, publicKey, validFromMs: fromMs, validUntilMs: untilMs }),
        ),
    );
    const text = canonicalJson(word, { strict: false });
    const said = isFresh ? [upsertServerKeyWord({ serverName, word: text, validUntilMs: read.validUntilMs })] : [];
    try {
      await db.commit([...keys, ...said]);
    } catch (error) {
      log.error(`The keys of ${serverName} could not be stored.`, { error });
    }
  }
}

const namesOf = (asks: readonly KeyAsk[]): ServerName[] => [...new Set(asks.map(({ serverName }) => serverName))];

function hasKey(word: JsonObject, keyId: string): boolean {
  return [word['verify_keys'], word['old_verify_keys']].some(
    (keys) => isJsonObject(keys) && Object.hasOwn(keys, keyId),
  );
}
