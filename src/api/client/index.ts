/** The client-server API: each module once. What they use together is what `main/compose.ts` must build. */
import type { Endpoint } from '../../http/endpoint.ts';
import { accountDataEndpoints } from './account-data.ts';
import { accountDeactivationEndpoints } from './account-deactivation.ts';
import { capabilitiesEndpoints } from './capabilities.ts';
import { deviceManagementEndpoints } from './device-management.ts';
import { filterEndpoints } from './filter.ts';
import { loginEndpoints } from './login.ts';
import { logoutEndpoints } from './logout.ts';
import { passwordManagementEndpoints } from './password-management.ts';
import { pushruleEndpoints } from './pushrules.ts';
import { readMarkerEndpoints } from './read-markers.ts';
import { receiptEndpoints } from './receipts.ts';
import { registrationEndpoints } from './registration.ts';
import { syncEndpoints } from './sync.ts';
import { tagEndpoints } from './tags.ts';
import { typingEndpoints } from './typing.ts';
import { versionsEndpoints } from './versions.ts';
import { whoamiEndpoints } from './whoami.ts';

const modules = [
  accountDataEndpoints,
  accountDeactivationEndpoints,
  capabilitiesEndpoints,
  deviceManagementEndpoints,
  filterEndpoints,
  loginEndpoints,
  logoutEndpoints,
  passwordManagementEndpoints,
  pushruleEndpoints,
  readMarkerEndpoints,
  receiptEndpoints,
  registrationEndpoints,
  syncEndpoints,
  tagEndpoints,
  typingEndpoints,
  versionsEndpoints,
  whoamiEndpoints,
] as const;

/** Everything that some module uses. */
export type ClientServices = (typeof modules)[number] extends (services: infer S) => Endpoint[] ? S : never;

export const clientEndpoints = (services: ClientServices): Endpoint[] => modules.flatMap((module) => module(services));
