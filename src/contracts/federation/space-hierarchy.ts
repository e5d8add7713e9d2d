/** Server-server module "Spaces": a space and its children, as far as the asking server may see them. */
import { anyObject, array, boolean, object, optional, roomId } from '../../http/schema.ts';
import { operation } from '../operation.ts';

/** A space of thousands of children is told of in less. */
const REPLY_BYTES_MAX = 4 * 1024 * 1024;

export const getSpaceHierarchy = operation({
  name: 'getSpaceHierarchy',
  method: 'GET',
  path: '/_matrix/federation/v1/hierarchy/:roomId',
  params: object({ roomId }),
  query: object({ suggested_only: optional(boolean) }),
  reply: object({
    room: anyObject,
    children: array(anyObject),
    inaccessible_children: optional(array(roomId)),
  }),
  replyBytesMax: REPLY_BYTES_MAX,
});
