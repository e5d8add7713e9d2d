/** The admin API: each module once. */
import type { Endpoint } from '../../http/endpoint.ts';
import { adminFederationEndpoints } from './federation.ts';
import { partialRoomsEndpoints } from './partial-rooms.ts';
import { registerEndpoints } from './register.ts';
import { adminRegistrationTokensEndpoints } from './registration-tokens.ts';
import { reportsEndpoints } from './reports.ts';
import { serverVersionEndpoints } from './server-facts.ts';
import { adminUserEndpoints } from './users.ts';

const modules = [
  adminFederationEndpoints,
  partialRoomsEndpoints,
  registerEndpoints,
  adminRegistrationTokensEndpoints,
  reportsEndpoints,
  serverVersionEndpoints,
  adminUserEndpoints,
] as const;

/** Everything that some module uses. */
export type AdminServices = (typeof modules)[number] extends (services: infer S) => Endpoint[] ? S : never;

export const adminEndpoints = (services: AdminServices): Endpoint[] => modules.flatMap((module) => module(services));
