/** Server-server module "Event authorization": the auth chain of an event. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ResidentState } from '../../services/resident-state.ts';
import { eventLists } from './shapes.ts';

export const eventAuthEndpoints = ({ residentState }: { residentState: ResidentState }): Endpoint[] => [
  answering(FEDERATION.getEventAuth, {
    async handler({ origin, params }) {
      return eventLists({ auth_chain: await residentState.authChainOf(origin, params.roomId, params.eventId) });
    },
  }),
];
