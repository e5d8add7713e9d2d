/** Server-server module "Retrieving events": single events, the state of a room at an event, the event nearest to a time. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import { type Endpoint, JsonText } from '../../http/endpoint.ts';
import type { ResidentHistory } from '../../services/resident-history.ts';
import type { ResidentRooms } from '../../services/resident-rooms.ts';
import type { ResidentState } from '../../services/resident-state.ts';
import type { RoomTimes } from '../../services/room-times.ts';
import { eventLists, type Transactions, transactionText } from './shapes.ts';

export type EventServices = Transactions & {
  residentHistory: ResidentHistory;
  residentRooms: ResidentRooms;
  residentState: ResidentState;
  roomTimes: RoomTimes;
};

export const eventEndpoints = (services: EventServices): Endpoint[] => {
  const { residentHistory, residentRooms, residentState, roomTimes } = services;
  return [
    answering(FEDERATION.getEvent, {
      async handler({ origin, params }) {
        const text = await residentHistory.event(origin, params.eventId);
        return new JsonText(transactionText(services, [text]));
      },
    }),
    answering(FEDERATION.getRoomState, {
      async handler({ origin, params, query }) {
        const { state, authChain } = await residentState.at(origin, params.roomId, query.event_id);
        return eventLists({ pdus: state, auth_chain: authChain });
      },
    }),
    answering(FEDERATION.getRoomStateIds, {
      async handler({ origin, params, query }) {
        const { state, authChain } = await residentState.idsAt(origin, params.roomId, query.event_id);
        return { pdu_ids: state, auth_chain_ids: authChain };
      },
    }),
    answering(FEDERATION.getEventByTimestamp, {
      async handler({ origin, params, query }) {
        const live = await residentRooms.get(origin, params.roomId);
        const { eventId, pdu } = await roomTimes.eventNearForServer(live, origin, query.ts, query.dir);
        return { event_id: eventId, origin_server_ts: pdu.originServerTs };
      },
    }),
  ];
};
