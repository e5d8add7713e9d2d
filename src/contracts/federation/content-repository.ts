/** Server-server module "Content repository": media of another server, as multipart. */
import { anyJson, boolean, integer, object, oneOf, optional, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

const MEDIA_BYTES_MAX = 1024 * 1024 * 1024;
const mediaId = string;

export const getContent = operation({
  name: 'getContent',
  method: 'GET',
  path: '/_matrix/federation/v1/media/download/:mediaId',
  params: object({ mediaId }),
  query: object({ timeout_ms: optional(integer) }),
  reply: anyJson,
  replyKind: 'raw',
  replyBytesMax: MEDIA_BYTES_MAX,
});

export const getContentThumbnail = operation({
  name: 'getContentThumbnail',
  method: 'GET',
  path: '/_matrix/federation/v1/media/thumbnail/:mediaId',
  params: object({ mediaId }),
  query: object({
    width: integer,
    height: integer,
    method: optional(oneOf('crop', 'scale')),
    animated: optional(boolean),
    timeout_ms: optional(integer),
  }),
  reply: anyJson,
  replyKind: 'raw',
  replyBytesMax: MEDIA_BYTES_MAX,
});
