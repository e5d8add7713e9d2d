/** What operators and their tools ask a running server: is it there, which version is it, how does it do. */
import { notFound } from '../../core/errors.ts';
import { endpoint, RawReply } from '../../http/endpoint.ts';
import { anyJson, object, string } from '../../http/schema.ts';
import type { Metrics } from '../../kit/metrics.ts';

/** Whether the server answers: for load balancers, on every listener. */
export const healthEndpoints = () => [
  endpoint({
    name: 'getHealth',
    method: 'GET',
    path: '/health',
    auth: 'none',
    reply: anyJson,
    handler: () => new RawReply(200, { 'Content-Type': 'text/plain; charset=utf-8' }, 'OK'),
  }),
];

export const serverVersionEndpoints = ({ version }: { version: string }) => [
  endpoint({
    name: 'getServerVersion',
    method: 'GET',
    path: '/_synapse/admin/v1/server_version',
    auth: 'none',
    reply: object({ server_version: string }),
    handler: () => ({ server_version: version }),
  }),
];

/** Figures in the format of Prometheus, where they are collected. */
export const metricsEndpoints = ({ metrics }: { metrics: Metrics | null }) => [
  endpoint({
    name: 'getMetrics',
    method: 'GET',
    path: '/_synapse/metrics',
    alsoAt: ['/metrics'],
    auth: 'none',
    reply: anyJson,
    async handler() {
      if (metrics === null) throw notFound('Figures are not collected: enable_metrics is off.');
      return new RawReply(200, { 'Content-Type': metrics.contentType }, await metrics.text());
    },
  }),
];
