/** The client-server API: each module once. What they use together is what `main/compose.ts` must build. */
import type { Endpoint } from '../../http/endpoint.ts';
import { accountDeactivationEndpoints } from './account-deactivation.ts';
import { capabilitiesEndpoints } from './capabilities.ts';
import { deviceManagementEndpoints } from './device-management.ts';
import { loginEndpoints } from './login.ts';
import { logoutEndpoints } from './logout.ts';
import { passwordManagementEndpoints } from './password-management.ts';
import { registrationEndpoints } from './registration.ts';
import { versionsEndpoints } from './versions.ts';
import { whoamiEndpoints } from './whoami.ts';

const modules = [
  accountDeactivationEndpoints,
  capabilitiesEndpoints,
  deviceManagementEndpoints,
  loginEndpoints,
  logoutEndpoints,
  passwordManagementEndpoints,
  registrationEndpoints,
  versionsEndpoints,
  whoamiEndpoints,
] as const;

/** Everything that some module uses. */
export type ClientServices = (typeof modules)[number] extends (services: infer S) => Endpoint[] ? S : never;

export const clientEndpoints = (services: ClientServices): Endpoint[] => modules.flatMap((module) => module(services));
