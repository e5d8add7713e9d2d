/** Spec module "Querying keys through another server": this server as a notary. Anybody may ask. */
import { answering } from '../../contracts/answering.ts';
import { bulkPerspectivesKeyQuery, perspectivesKeyQuery } from '../../contracts/federation/keys-query.ts';
import { invalidParam } from '../../core/errors.ts';
import { parseServerName, type ServerName } from '../../core/ids.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { Notary, NotaryQuestion } from '../../services/notary.ts';

/** Each of them may have to be asked. */
const SERVERS_MAX = 100;

export const keysQueryEndpoints = ({ notary }: { notary: Notary }): Endpoint[] => [
  answering(perspectivesKeyQuery, {
    rateLimit: 'keyRequests',
    // Older servers name a key that they want; the word of a server has all of them.
    alsoAt: ['/_matrix/key/v2/query/:serverName/:keyId'],
    async handler({ params, query }) {
      const validUntilMs = query.minimum_valid_until_ts ?? null;
      const question: NotaryQuestion = { keyIds: new Set(), validUntilMs };
      return { server_keys: await notary.vouch(new Map([[params.serverName, question]])) };
    },
  }),
  answering(bulkPerspectivesKeyQuery, {
    rateLimit: 'keyRequests',
    async handler({ body }) {
      const questions = new Map<ServerName, NotaryQuestion>();
      for (const [name, criteria] of Object.entries(body.server_keys)) {
        const serverName = parseServerName(name);
        if (serverName === null) throw invalidParam(`${name} is not a server name.`);
        const times = Object.values(criteria).map(({ minimum_valid_until_ts: atMs }) => atMs ?? null);
        const validUntilMs = times.includes(null) || times.length === 0 ? null : Math.max(...(times as number[]));
        questions.set(serverName, { keyIds: new Set(Object.keys(criteria)), validUntilMs });
      }
      if (questions.size > SERVERS_MAX) throw invalidParam(`At most ${SERVERS_MAX} servers can be asked for at once.`);
      return { server_keys: await notary.vouch(questions) };
    },
  }),
];
