/**
 * Notaries: servers that vouch for the keys of others (`trusted_key_servers`). They are asked where a server itself does
 * not answer.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server
 */
import { FEDERATION } from '../contracts/federation/index.ts';
import type { ServerName } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { readPublicKey } from '../core/server-keys.ts';
import { signaturesOf, verifyJson } from '../core/signing.ts';
import { reasonOf } from './remote-error.ts';
import type { ServerCaller } from './server-caller.ts';

export type Notary = {
  readonly serverName: ServerName;
  /** Its public keys by ID; null: those that it shows itself, over TLS. */
  readonly verifyKeys: Readonly<Record<string, string>> | null;
  /** Whether its answers need no signature of its own. */
  readonly acceptKeysInsecurely: boolean;
};

export type NotariesDeps = {
  readonly notaries: readonly Notary[];
  readonly caller: ServerCaller;
  /** A key of a notary whose keys are not in the configuration. */
  readonly keyOf: (serverName: ServerName, keyId: string) => Promise<string | null>;
  readonly log: { debug(message: string, fields?: object): void };
};

/** Keys of a server that are wanted: their IDs, and until when they must be valid. */
export type NotaryAsk = { readonly keyIds: ReadonlySet<string>; readonly validUntilMs: number };

const SERVERS_PER_QUESTION = 100;
const TIMEOUT_MS = 20_000;

export class Notaries {
  readonly #deps: NotariesDeps;

  constructor(deps: NotariesDeps) {
    this.#deps = deps;
  }

  get list(): readonly Notary[] {
    return this.#deps.notaries;
  }

  /**
   * What a notary vouches for: words of servers that were asked for, with its signature. Whether the servers have signed
   * them is not looked at here. Never rejects.
   */
  async ask(
    notary: Notary,
    asks: ReadonlyMap<ServerName, NotaryAsk>,
  ): Promise<{ readonly serverName: ServerName; readonly word: JsonObject }[]> {
    const names = [...asks.keys()].filter((name) => name !== notary.serverName);
    const questions: ServerName[][] = [];
    for (let from = 0; from < names.length; from += SERVERS_PER_QUESTION) {
      questions.push(names.slice(from, from + SERVERS_PER_QUESTION));
    }
    const answers = await Promise.all(questions.map((question) => this.#askOnce(notary, question, asks)));
    return answers.flat();
  }

  async #askOnce(notary: Notary, names: readonly ServerName[], asks: ReadonlyMap<ServerName, NotaryAsk>) {
    const { caller, log } = this.#deps;
    const serverKeys = Object.fromEntries(
      names.map((name) => {
        const { keyIds, validUntilMs } = asks.get(name)!;
        const criteria = { minimum_valid_until_ts: validUntilMs };
        return [name, Object.fromEntries([...keyIds].map((keyId) => [keyId, criteria]))];
      }),
    );
    const found: { serverName: ServerName; word: JsonObject }[] = [];
    try {
      const input = { body: { server_keys: serverKeys } };
      const options = { timeoutMs: TIMEOUT_MS };
      const answer = await caller.call(notary.serverName, FEDERATION.bulkPerspectivesKeyQuery, input, options);
      for (const word of answer.server_keys) {
        const serverName = names.find((name) => name === word['server_name']);
        if (serverName !== undefined && (await this.#isSigned(notary, word))) found.push({ serverName, word });
      }
    } catch (error) {
      log.debug(`The notary ${notary.serverName} does not answer.`, { reason: reasonOf(error) });
    }
    return found;
  }

  async #isSigned({ serverName, verifyKeys, acceptKeysInsecurely }: Notary, word: JsonObject): Promise<boolean> {
    if (acceptKeysInsecurely) return true;
    for (const keyId of signaturesOf(word, serverName).keys()) {
      const publicKey =
        verifyKeys === null ? await this.#deps.keyOf(serverName, keyId) : readPublicKey(verifyKeys[keyId]);
      if (publicKey !== null && verifyJson(word, serverName, keyId, publicKey)) return true;
    }
    this.#deps.log.debug(`The notary ${serverName} has not signed what it says.`);
    return false;
  }
}
