/** Spec module "End-to-end encryption": keys of our users, for other servers. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { KeyClaims } from '../../services/key-claims.ts';
import type { KeyQueries } from '../../services/key-queries.ts';

export const userKeysEndpoints = ({
  keyClaims,
  keyQueries,
}: {
  keyClaims: KeyClaims;
  keyQueries: KeyQueries;
}): Endpoint[] => [
  answering(FEDERATION.claimUserEncryptionKeys, {
    async handler({ body }) {
      return { one_time_keys: await keyClaims.claimFor(body.one_time_keys) };
    },
  }),
  answering(FEDERATION.queryUserEncryptionKeys, {
    async handler({ body }) {
      const found = await keyQueries.queryFor(body.device_keys);
      return {
        device_keys: found.deviceKeys,
        master_keys: found.masterKeys,
        self_signing_keys: found.selfSigningKeys,
      };
    },
  }),
];
