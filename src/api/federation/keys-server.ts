/** Spec module "Publishing keys": the keys with which this server signs. */
import { answering } from '../../contracts/answering.ts';
import { getServerKey } from '../../contracts/federation/keys-server.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { Static } from '../../http/schema.ts';
import type { PublishedKeys } from '../../services/published-keys.ts';

export const keysServerEndpoints = ({ publishedKeys }: { publishedKeys: PublishedKeys }): Endpoint[] => [
  answering(getServerKey, {
    // Older servers name a key that they want; all of them are the answer.
    alsoAt: ['/_matrix/key/v2/server/:keyId'],
    // Made by us in the shape that the contract has.
    handler: () => publishedKeys.current() as Static<typeof getServerKey.reply>,
  }),
];
