/** Spec module "Versions": what this server speaks. */
import { endpoint } from '../../http/endpoint.ts';
import { array, boolean, object, record, string } from '../../http/schema.ts';

/**
 * Versions of the specification that clients may count on. A version joins when the server items of it are there, see
 * docs/spec-versions.md: clients choose paths and features by this list, so that a false claim breaks calls.
 */
export const SPEC_VERSIONS = ['r0.6.1', 'v1.1'];

/** Proposals that are served beside the specification's text. */
const UNSTABLE_FEATURES: Readonly<Record<string, boolean>> = {
  // Private receipts, threads, their lists, receipts and counts: clients look here before they look at versions.
  'org.matrix.msc2285.stable': true,
  'org.matrix.msc3440.stable': true,
  'org.matrix.msc3715.stable': true,
  'org.matrix.msc3771': true,
  'org.matrix.msc3773': true,
  'org.matrix.msc3856': true,
  // Filters by what an event relates to.
  'org.matrix.msc3874': true,
  // Redactions that take along what relates to their event.
  'org.matrix.msc3912': true,
  // Relations of relations, in version 1.10.
  'org.matrix.msc3981': true,
  'org.matrix.msc3026.busy_presence': true,
  // Cross-signing, from before it was in the specification.
  'org.matrix.e2e_cross_signing': true,
  'uk.tcpip.msc4133': true,
  'uk.tcpip.msc4133.stable': true,
};

export const versionsEndpoints = () => [
  endpoint({
    name: 'getVersions',
    method: 'GET',
    path: '/_matrix/client/versions',
    auth: 'none',
    reply: object({ versions: array(string), unstable_features: record(boolean) }),
    handler: () => ({ versions: SPEC_VERSIONS, unstable_features: UNSTABLE_FEATURES }),
  }),
];
