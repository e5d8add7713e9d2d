/** The wiring of keys: those of other servers, and ours as we tell them to others. */
import type { Config } from '../config/config.ts';
import { readPublicKey } from '../core/server-keys.ts';
import type { SigningKey } from '../core/signing.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { Keyring } from '../remote/keyring.ts';
import type { ServerCaller } from '../remote/server-caller.ts';
import { Notary } from '../services/notary.ts';
import { PublishedKeys } from '../services/published-keys.ts';
import type { Database } from '../storage/database.ts';
import { readSigningKeys } from './signing-keys.ts';

export type Keys = { readonly keyring: Keyring; readonly publishedKeys: PublishedKeys; readonly notary: Notary };

/** Builds it; throws `StartError` for a file of keys that cannot be read. */
export function composeKeys({
  config,
  db,
  signingKeys,
  caller,
  clock,
  log,
}: {
  readonly config: Config;
  readonly db: Database;
  readonly signingKeys: readonly SigningKey[];
  readonly caller: ServerCaller;
  readonly clock: Clock;
  readonly log: Log;
}): Keys {
  const { serverName } = config.server;
  const { keyRefreshIntervalMs, keyServerSigningKeysPath, suppressKeyServerWarning, trustedKeyServers } = config.keys;
  if (!suppressKeyServerWarning && trustedKeyServers.some((one) => one.serverName === 'matrix.org')) {
    log.warn(
      'matrix.org is asked for the keys of servers that do not answer themselves (trusted_key_servers). ' +
        'suppress_key_server_warning: true says that this is meant.',
    );
  }
  const oldKeys = usableOldKeys(config, log);
  const publishedKeys = new PublishedKeys({
    serverName,
    signingKeys,
    oldKeys,
    validityMs: keyRefreshIntervalMs,
    clock,
  });
  const keyring = new Keyring({
    db,
    serverName,
    signingKeys: [...signingKeys, ...Object.entries(oldKeys).map(([keyId, { key }]) => ({ keyId, publicKey: key }))],
    notaries: trustedKeyServers,
    caller,
    clock,
    log: log.child('remote.keyring'),
  });
  const notary = new Notary({
    serverName,
    keyring,
    publishedKeys,
    signingKeys: keyServerSigningKeysPath === null ? signingKeys : readSigningKeys(keyServerSigningKeysPath),
    clock,
  });
  return { keyring, publishedKeys, notary };
}

/** The retired keys that are worth something: keys, and none that anybody can sign with (threat C16). */
function usableOldKeys({ keys }: Config, log: Log): Config['keys']['oldSigningKeys'] {
  const usable = Object.entries(keys.oldSigningKeys).filter(([keyId, { key }]) => {
    const isUsable = readPublicKey(key) !== null;
    if (!isUsable) log.warn(`old_signing_keys: ${keyId} is left out: it is no key, or one that anybody can sign with.`);
    return isUsable;
  });
  return Object.fromEntries(usable);
}
