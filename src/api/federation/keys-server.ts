/** Spec module "Publishing keys": the keys with which this server signs. */
import { answering } from '../../contracts/answering.ts';
import { getServerKey } from '../../contracts/federation/keys-server.ts';
import { canonicalJson } from '../../core/json.ts';
import { type Endpoint, JsonText } from '../../http/endpoint.ts';
import type { PublishedKeys } from '../../services/published-keys.ts';

export const keysServerEndpoints = ({ publishedKeys }: { publishedKeys: PublishedKeys }): Endpoint[] => [
  answering(getServerKey, {
    // Older servers name a key that they want; all of them are the answer.
    alsoAt: ['/_matrix/key/v2/server/:keyId'],
    // In the form that is signed, so that a reader need not bring it there.
    handler: () => new JsonText(canonicalJson(publishedKeys.current(), { strict: true })),
  }),
];
