/** The servers that this one speaks with, shown to its users where `federation_whitelist_endpoint_enabled` says so. */
import type { Config } from '../../config/config.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { array, boolean, object, string } from '../../http/schema.ts';

export const federationWhitelistEndpoints = ({ config }: { config: Pick<Config, 'federation'> }): Endpoint[] => {
  const { isWhitelistEndpointEnabled, domainWhitelist } = config.federation;
  if (!isWhitelistEndpointEnabled) return [];
  return [
    endpoint({
      name: 'getFederationWhitelist',
      method: 'GET',
      path: '/_synapse/client/v1/config/federation_whitelist',
      auth: 'user',
      reply: object({ whitelist_enabled: boolean, whitelist: array(string) }),
      handler: () => ({ whitelist_enabled: domainWhitelist !== null, whitelist: [...(domainWhitelist ?? [])] }),
    }),
  ];
};
