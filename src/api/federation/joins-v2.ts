/** Server-server module "Joining rooms", its second version: the event of a join, and the room that it leads into. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { ServerName } from '../../core/ids.ts';
import type { Endpoint, RawReply } from '../../http/endpoint.ts';
import type { JoinAnswer, ResidentJoins } from '../../services/resident-joins.ts';
import { eventLists } from './shapes.ts';

export type JoinServices = { residentJoins: ResidentJoins; serverName: ServerName };

export const joinEndpointsV2 = ({ residentJoins, serverName }: JoinServices): Endpoint[] => [
  answering(FEDERATION.sendJoinV2, {
    async handler({ origin, params, query, body }) {
      const sent = { ...params, wire: body, omitsMembers: query.omit_members ?? false };
      return joinReply(serverName, await residentJoins.join(origin, sent));
    },
  }),
];

/** The answer to a join, written out as it is read; `frame` is what stands around it. */
export function joinReply(
  serverName: ServerName,
  { eventText, serversInRoom, state, authChain }: JoinAnswer,
  frame?: { readonly before: string; readonly after: string },
): RawReply {
  const head = {
    origin: serverName,
    members_omitted: serversInRoom !== null,
    ...(serversInRoom === null ? {} : { servers_in_room: serversInRoom }),
  };
  const headText = `${JSON.stringify(head).slice(1, -1)},"event":${eventText}`;
  return eventLists({ state, auth_chain: authChain }, { headText, ...frame });
}
