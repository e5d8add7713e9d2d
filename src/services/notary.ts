/** Vouches for the keys of servers, towards others who cannot reach them. */
import type { ServerName } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { type SigningKey, signJson } from '../core/signing.ts';
import type { Clock } from '../kit/clock.ts';
import type { Keyring } from '../remote/keyring.ts';
import type { PublishedKeys } from './published-keys.ts';

export type NotaryDeps = {
  readonly serverName: ServerName;
  readonly keyring: Pick<Keyring, 'words'>;
  readonly publishedKeys: PublishedKeys;
  /** Those that vouch: of `key_server_signing_keys_path`, or the server's own. */
  readonly signingKeys: readonly SigningKey[];
  readonly clock: Clock;
};

/** Which keys of a server are asked for, and until when they should be valid at least: now, where that is left out. */
export type NotaryQuestion = { readonly keyIds: ReadonlySet<string>; readonly validUntilMs: number | null };

export class Notary {
  readonly #deps: NotaryDeps;

  constructor(deps: NotaryDeps) {
    this.#deps = deps;
  }

  /** The words of servers on their keys, with our signature beside theirs. Servers that nobody could ask are left out. */
  async vouch(questions: ReadonlyMap<ServerName, NotaryQuestion>): Promise<JsonObject[]> {
    const { serverName, keyring, publishedKeys, signingKeys, clock } = this.#deps;
    const asks = new Map(
      [...questions].map(([name, { keyIds, validUntilMs }]) => {
        return [name, { keyIds, validUntilMs: validUntilMs ?? clock.now() }] as const;
      }),
    );
    const words = [...(await keyring.words(asks)).values()];
    if (questions.has(serverName)) words.push(publishedKeys.current());
    return words.map((word) => signingKeys.reduce((json, key) => signJson(json, serverName, key), word));
  }
}
