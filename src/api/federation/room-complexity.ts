/** How much a room would cost who joins it: Synapse's measure, for servers that join no large rooms. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ResidentRooms } from '../../services/resident-rooms.ts';

export const roomComplexityEndpoints = ({ residentRooms }: { residentRooms: ResidentRooms }): Endpoint[] => [
  answering(FEDERATION.getRoomComplexity, {
    handler: async ({ origin, params }) => ({ v1: await residentRooms.complexity(origin, params.roomId) }),
  }),
];
