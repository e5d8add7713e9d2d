/** Server-server module "End-to-end encryption": keys of users of another server. */
import { anyObject, array, object, optional, orNull, record, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const claimUserEncryptionKeys = operation({
  name: 'claimUserEncryptionKeys',
  method: 'POST',
  path: '/_matrix/federation/v1/user/keys/claim',
  body: object({ one_time_keys: record(record(string)) }),
  reply: object({ one_time_keys: record(record(anyObject)) }),
});

export const queryUserEncryptionKeys = operation({
  name: 'queryUserEncryptionKeys',
  method: 'POST',
  path: '/_matrix/federation/v1/user/keys/query',
  body: object({ device_keys: record(array(string)) }),
  reply: object({
    device_keys: record(record(anyObject)),
    // Dendrite says null where none of the users has any.
    master_keys: optional(orNull(record(anyObject))),
    self_signing_keys: optional(orNull(record(anyObject))),
  }),
});
