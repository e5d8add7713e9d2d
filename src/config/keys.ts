/** The section "Keys": the keys with which this server signs, and whom it asks for those of others. */
import { key, section } from './key.ts';
import { boolean, duration, integer, list, mapOf, object, orNull, text } from './kinds.ts';
import { serverName } from './server.ts';

const oldKey = object({
  key: { yaml: 'key', kind: text, help: '' },
  expiredTs: { yaml: 'expired_ts', kind: integer(), help: '' },
});

const keyServer = object({
  serverName: { yaml: 'server_name', kind: serverName, help: '' },
  verifyKeys: { yaml: 'verify_keys', kind: orNull(mapOf(text)), fallback: { value: null }, help: '' },
  acceptKeysInsecurely: { yaml: 'accept_keys_insecurely', kind: boolean, fallback: { value: false }, help: '' },
});

export const keysSection = section(
  'Keys',
  'The keys with which this server signs, and whom it asks for those of others.',
  {
    signingKeyPath: key(
      'signing_key_path',
      orNull(text),
      null,
      'The signing key; null stands for <server_name>.signing.key.',
    ),
    oldSigningKeys: key(
      'old_signing_keys',
      mapOf(oldKey),
      {},
      'Retired keys, by ID: the public key and when it expired (milliseconds).',
    ),
    keyRefreshIntervalMs: key('key_refresh_interval', duration, 86_400_000, 'How long others may keep our keys.'),
    trustedKeyServers: key(
      'trusted_key_servers',
      list(keyServer),
      null,
      'Servers that are asked for the keys of servers that do not answer; null: matrix.org.',
    ),
    suppressKeyServerWarning: key(
      'suppress_key_server_warning',
      boolean,
      false,
      'Do not warn about trusting matrix.org.',
    ),
    keyServerSigningKeysPath: key(
      'key_server_signing_keys_path',
      orNull(text),
      null,
      'Keys used when we vouch for others; null: our own.',
    ),
  },
);
