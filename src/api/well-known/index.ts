/** Answers to those who know no more of this server than its name. */
import { notFound } from '../../core/errors.ts';
import type { ServerName } from '../../core/ids.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, array, object, optional, string } from '../../http/schema.ts';

export type WellKnownFacts = {
  readonly serverName: ServerName;
  /** Ends with a slash. */
  readonly publicBaseUrl: string;
  readonly identityServer: string | null;
  /** Put into the answer to clients. */
  readonly extraClientContent: JsonObject;
  /** Whether other servers are sent to port 443 of the server's name. */
  readonly servesServer: boolean;
  /** `mailto:…`, a user ID or a page; null where nobody is named. */
  readonly adminContact: string | null;
};

function wireContact(contact: string): { contacts?: JsonObject[]; support_page?: string } {
  if (/^https?:\/\//i.test(contact)) return { support_page: contact };
  const address = contact.replace(/^mailto:/i, '');
  return { contacts: [{ role: 'm.role.admin', [address.startsWith('@') ? 'matrix_id' : 'email_address']: address }] };
}

export const wellKnownEndpoints = (facts: WellKnownFacts) => [
  endpoint({
    name: 'getWellknown',
    method: 'GET',
    path: '/.well-known/matrix/client',
    auth: 'none',
    reply: anyObject,
    handler: () => ({
      ...facts.extraClientContent,
      'm.homeserver': { base_url: facts.publicBaseUrl },
      ...(facts.identityServer === null ? {} : { 'm.identity_server': { base_url: facts.identityServer } }),
    }),
  }),
  endpoint({
    name: 'getWellknownSupport',
    method: 'GET',
    path: '/.well-known/matrix/support',
    auth: 'none',
    reply: object({ contacts: optional(array(anyObject)), support_page: optional(string) }),
    handler() {
      if (facts.adminContact === null) throw notFound('This server names nobody to turn to.');
      return wireContact(facts.adminContact);
    },
  }),
  endpoint({
    name: 'getServerWellKnown',
    method: 'GET',
    path: '/.well-known/matrix/server',
    auth: 'none',
    reply: object({ 'm.server': string }),
    handler() {
      if (!facts.servesServer) throw notFound('This server does not delegate.');
      return { 'm.server': `${facts.serverName.replace(/:\d+$/, '')}:443` };
    },
  }),
];
