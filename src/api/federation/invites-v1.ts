/** Server-server module "Inviting to a room", its first version: the event is the body, and no room version is told. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import { isJsonObject } from '../../core/json-value.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ReceivedInvites } from '../../services/received-invites.ts';

export const inviteEndpointsV1 = ({ receivedInvites }: { receivedInvites: ReceivedInvites }): Endpoint[] => [
  answering(FEDERATION.sendInviteV1, {
    async handler({ origin, params, body }) {
      const { unsigned } = body;
      const roomState = isJsonObject(unsigned) ? unsigned['invite_room_state'] : undefined;
      const event = await receivedInvites.receive(origin, { ...params, version: null, wire: body, roomState });
      return [200, { event }];
    },
  }),
];
