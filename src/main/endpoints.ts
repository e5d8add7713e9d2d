/** Every endpoint of the server, by the resource of the configuration that it belongs to. */
import { type AdminServices, adminEndpoints } from '../api/admin/index.ts';
import { healthEndpoints, metricsEndpoints } from '../api/admin/server-facts.ts';
import { type ClientServices, clientEndpoints } from '../api/client/index.ts';
import { staticLoginEndpoints } from '../api/client/static-login.ts';
import { type FederationServices, federationEndpoints } from '../api/federation/index.ts';
import { type WellKnownFacts, wellKnownEndpoints } from '../api/well-known/index.ts';
import { type LandingFacts, landingEndpoints } from '../api/well-known/landing-page.ts';
import { policyPageEndpoints } from '../api/well-known/policy-page.ts';
import type { Endpoint } from '../http/endpoint.ts';
import type { Resource } from '../http/router.ts';
import type { Metrics } from '../kit/metrics.ts';

/** All that endpoints use. Each module is typed to take from it only what it names. */
export type EndpointServices = AdminServices &
  ClientServices &
  FederationServices &
  WellKnownFacts &
  LandingFacts &
  Parameters<typeof policyPageEndpoints>[0] & { readonly metrics: Metrics | null };

/** The endpoints as listeners serve them. */
export function resourcesOf(services: EndpointServices): Resource[] {
  return [
    { name: 'client', hasCors: true, endpoints: clientEndpoints(services) },
    { name: 'admin', hasCors: true, endpoints: adminEndpoints(services) },
    { name: 'federation', hasCors: false, endpoints: federationEndpoints(services) },
    { name: 'well-known', hasCors: true, endpoints: wellKnownEndpoints(services) },
    { name: 'static', hasCors: false, endpoints: [...landingEndpoints(services), ...staticLoginEndpoints(services)] },
    { name: 'consent', hasCors: false, endpoints: policyPageEndpoints(services) },
    { name: 'metrics', hasCors: false, endpoints: metricsEndpoints(services) },
    { name: 'health', hasCors: true, endpoints: healthEndpoints() },
  ];
}

/** The declarations of all endpoints, for whoever reads and never calls them: documentation and coverage. */
export function allEndpoints(): Endpoint[] {
  // Declaring an endpoint only takes services apart, so anything that can be taken apart will do.
  const nothing: unknown = new Proxy(() => nothing, { get: () => nothing });
  return resourcesOf(nothing as EndpointServices).flatMap(({ endpoints }) => endpoints);
}
