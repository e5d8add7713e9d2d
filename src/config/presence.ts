/** The section "Presence". */
import { key, section } from './key.ts';
import { boolean, duration, list, oneOf, text } from './kinds.ts';

export const presenceSection = section('Presence', 'Who is online.', {
  enabled: key(
    'presence.enabled',
    oneOf(true, false, 'untracked'),
    true,
    'Tell who is online; "untracked" ignores what others report.',
  ),
  includeOfflineUsers: key(
    'presence.include_offline_users_on_sync',
    boolean,
    false,
    'Show offline users in an initial sync.',
  ),
  lastActiveGranularityMs: key(
    'presence.last_active_granularity',
    duration,
    60_000,
    'Below this a user counts as currently active.',
  ),
  syncOnlineTimeoutMs: key(
    'presence.sync_online_timeout',
    duration,
    30_000,
    'Without a sync for this long a user goes offline.',
  ),
  idleTimeoutMs: key(
    'presence.idle_timeout',
    duration,
    300_000,
    'Without activity for this long a user goes unavailable.',
  ),
  excludeRooms: key('exclude_rooms_from_presence', list(text), [], 'Rooms whose members do not see each other there.'),
});
