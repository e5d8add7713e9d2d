/** Spec module "Room Creation". */
import { MatrixError } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import {
  anyJson,
  anyObject,
  array,
  boolean,
  object,
  oneOf,
  optional,
  orNull,
  roomId,
  type Schema,
  string,
  userId,
} from '../../http/schema.ts';
import { type RoomCreation, type RoomWishes, readInitialState } from '../../services/room-creation.ts';
import { v3 } from './paths.ts';

const maybe = <T>(schema: Schema<T>) => optional(orNull(schema));

export const createRoomEndpoints = ({ roomCreation }: { roomCreation: RoomCreation }): Endpoint[] => [
  endpoint({
    name: 'createRoom',
    method: 'POST',
    ...v3('/createRoom'),
    auth: 'user',
    refusesSuspended: true,
    rateLimit: 'roomCreation',
    body: object({
      visibility: maybe(oneOf('public', 'private')),
      room_alias_name: maybe(string),
      name: maybe(string),
      topic: maybe(string),
      invite: optional(array(userId, { maxItems: 1000 })),
      invite_3pid: maybe(array(anyJson)),
      room_version: maybe(string),
      creation_content: maybe(anyObject),
      initial_state: maybe(array(anyJson, { maxItems: 1000 })),
      preset: maybe(oneOf('private_chat', 'public_chat', 'trusted_private_chat')),
      is_direct: maybe(boolean),
      power_level_content_override: maybe(anyObject),
    }),
    reply: object({ room_id: roomId }),
    async handler({ user, body }) {
      if ((body.invite_3pid ?? []).length > 0) {
        throw new MatrixError(403, 'M_THREEPID_DENIED', 'This server invites nobody by mail or phone.');
      }
      const wishes: RoomWishes = {
        visibility: body.visibility ?? 'private',
        invite: body.invite ?? [],
        isDirect: body.is_direct ?? false,
        creationContent: body.creation_content ?? {},
        initialState: readInitialState(body.initial_state ?? []),
        powerLevels: body.power_level_content_override ?? {},
        ...(body.preset == null ? {} : { preset: body.preset }),
        ...(body.room_version == null ? {} : { roomVersion: body.room_version }),
        ...(body.room_alias_name == null ? {} : { aliasName: body.room_alias_name }),
        ...(body.name == null ? {} : { name: body.name }),
        ...(body.topic == null ? {} : { topic: body.topic }),
      };
      return { room_id: await roomCreation.create(user, wishes) };
    },
  }),
];
