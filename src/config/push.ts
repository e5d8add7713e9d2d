/** The section "Push". */
import { key, section } from './key.ts';
import { boolean, duration } from './kinds.ts';

export const pushSection = section('Push', 'Notifications to phones.', {
  isEnabled: key('push.enabled', boolean, true, 'Send notifications.'),
  includeContent: key('push.include_content', boolean, true, 'Put message text into them.'),
  groupUnreadCountByRoom: key('push.group_unread_count_by_room', boolean, true, 'Count rooms, not messages.'),
  jitterDelayMs: key('push.jitter_delay', duration, 0, 'Delay at random up to this, against timing attacks.'),
  hasLegacyMentionRules: key(
    'push.legacy_mention_rules',
    boolean,
    false,
    'Notify of names in plain text too, as before version 1.17 of the specification: for old clients that do not say whom they mention.',
  ),
});
