/** The section "Metrics". */
import { key, section } from './key.ts';
import { boolean } from './kinds.ts';

export const metricsSection = section('Metrics', 'Figures for Prometheus.', {
  isEnabled: key(
    'enable_metrics',
    boolean,
    false,
    'Collect figures; a listener of type metrics, or with that resource, serves them.',
  ),
  countKnownServers: key('metrics_flags.known_servers', boolean, false, 'Count the servers that we share rooms with.'),
});
