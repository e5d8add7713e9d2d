/** Server-server module "Version": which program answers here. Anybody may ask. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';

export const versionEndpoints = ({ version }: { version: string }): Endpoint[] => [
  answering(FEDERATION.getVersion, {
    handler: () => ({ server: { name: 'Myelin', version } }),
  }),
];
