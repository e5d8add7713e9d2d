/** Spec module "Room upgrades": replacing a room by one of another version. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { array, object, optional, roomId, string, userId } from '../../http/schema.ts';
import type { RoomUpgrades } from '../../services/room-upgrades.ts';
import { v3 } from './paths.ts';

export const roomUpgradesEndpoints = ({ roomUpgrades }: { roomUpgrades: RoomUpgrades }): Endpoint[] => [
  endpoint({
    name: 'upgradeRoom',
    method: 'POST',
    ...v3('/rooms/:roomId/upgrade'),
    auth: 'user',
    refusesSuspended: true,
    params: object({ roomId }),
    body: object({ new_version: string, additional_creators: optional(array(userId, { maxItems: 1000 })) }),
    reply: object({ replacement_room: roomId }),
    async handler({ user, params, body }) {
      const wish = { version: body.new_version, additionalCreators: body.additional_creators ?? [] };
      return { replacement_room: await roomUpgrades.upgrade(user, params.roomId, wish) };
    },
  }),
];
