/** Server-server module "Inviting to a room": users of ours whom users of other servers invite. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ReceivedInvites } from '../../services/received-invites.ts';

export const inviteEndpointsV2 = ({ receivedInvites }: { receivedInvites: ReceivedInvites }): Endpoint[] => [
  answering(FEDERATION.sendInviteV2, {
    async handler({ origin, params, body }) {
      const { event: wire, room_version: version, invite_room_state: roomState } = body;
      // null is what some servers send for no state at all (threat A10).
      return { event: await receivedInvites.receive(origin, { ...params, version, wire, roomState: roomState ?? [] }) };
    },
  }),
];
