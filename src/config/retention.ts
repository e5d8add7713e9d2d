/** The section "Retention": deleting old messages. */
import { key, section } from './key.ts';
import { boolean, duration, list, object, orNull } from './kinds.ts';

const purgeJob = object({
  shortestMaxLifetimeMs: { yaml: 'shortest_max_lifetime', kind: orNull(duration), fallback: { value: null }, help: '' },
  longestMaxLifetimeMs: { yaml: 'longest_max_lifetime', kind: orNull(duration), fallback: { value: null }, help: '' },
  intervalMs: { yaml: 'interval', kind: duration, help: '' },
});

export const retentionSection = section('Retention', 'Deleting old messages (`m.room.retention`).', {
  isEnabled: key('retention.enabled', boolean, false, 'Delete messages when their time has come.'),
  defaultLifetimeMinMs: key(
    'retention.default_policy.min_lifetime',
    orNull(duration),
    null,
    'Shortest time that messages stay, where a room does not say.',
  ),
  defaultLifetimeMaxMs: key(
    'retention.default_policy.max_lifetime',
    orNull(duration),
    null,
    'Longest time, where a room does not say.',
  ),
  allowedLifetimeMinMs: key('retention.allowed_lifetime_min', orNull(duration), null, 'Least that a room may ask for.'),
  allowedLifetimeMaxMs: key('retention.allowed_lifetime_max', orNull(duration), null, 'Most that a room may ask for.'),
  purgeJobs: key(
    'retention.purge_jobs',
    list(purgeJob),
    [],
    'Which rooms are looked at how often; none: all once a day.',
  ),
});
