/** Spec module "Third-party networks": which other networks rooms and users can be found in. */
import { notFound } from '../../core/errors.ts';
import { endpoint } from '../../http/endpoint.ts';
import { anyJson, anyObject, array, object, roomAlias, string, userId } from '../../http/schema.ts';
import { v3 } from './paths.ts';

// Networks come with application services, of which this server has none yet: nothing is found in any.
const NETWORK_QUERIES = [
  ['getProtocolMetadata', 'protocol'],
  ['queryLocationByProtocol', 'location'],
  ['queryUserByProtocol', 'user'],
] as const;

export const thirdPartyLookupEndpoints = () => [
  endpoint({
    name: 'getProtocols',
    method: 'GET',
    ...v3('/thirdparty/protocols'),
    auth: 'user',
    reply: anyObject,
    handler: () => ({}),
  }),
  ...NETWORK_QUERIES.map(([name, kind]) =>
    endpoint({
      name,
      method: 'GET',
      ...v3(`/thirdparty/${kind}/:protocol`),
      auth: 'user',
      params: object({ protocol: string }),
      reply: anyJson,
      handler() {
        throw notFound('This server knows no such network.');
      },
    }),
  ),
  endpoint({
    name: 'queryLocationByAlias',
    method: 'GET',
    ...v3('/thirdparty/location'),
    auth: 'user',
    query: object({ alias: roomAlias }),
    reply: array(anyJson),
    handler: () => [],
  }),
  endpoint({
    name: 'queryUserByID',
    method: 'GET',
    ...v3('/thirdparty/user'),
    auth: 'user',
    query: object({ userid: userId }),
    reply: array(anyJson),
    handler: () => [],
  }),
];
