/** The section "Rate limits". */
import { key, section } from './key.ts';
import { duration, integer, type Rate, rate } from './kinds.ts';

const limit = (yaml: string, perSecond: number, burstCount: number, help: string) =>
  key<Rate, Rate>(yaml, rate(perSecond, burstCount), { perSecond, burstCount }, help);

export const rateLimitsSection = section(
  'Rate limits',
  'Each limit is a pair: `per_second`, how many a second in the long run, and `burst_count`, how many at once. Either part may be left out.',
  {
    message: limit('rc_message', 0.2, 10, 'Events sent per user.'),
    registration: limit('rc_registration', 0.17, 3, 'Registrations per address.'),
    registrationTokenValidity: limit(
      'rc_registration_token_validity',
      0.1,
      5,
      'Checks of registration tokens per address.',
    ),
    loginAddress: limit('rc_login.address', 0.003, 5, 'Logins per address.'),
    loginAccount: limit('rc_login.account', 0.003, 5, 'Logins per account.'),
    loginFailedAttempts: limit('rc_login.failed_attempts', 0.17, 3, 'Failed logins per account.'),
    adminRedaction: key<Rate, null>(
      'rc_admin_redaction',
      rate(0.2, 10),
      null,
      'Redactions by room admins; null: as rc_message.',
    ),
    joinsLocal: limit('rc_joins.local', 0.1, 10, 'Joins per user into rooms that this server is in.'),
    joinsRemote: limit('rc_joins.remote', 0.01, 10, 'Joins per user into other rooms.'),
    joinsPerRoom: limit('rc_joins_per_room', 1, 10, 'Joins into one room.'),
    threepidValidation: limit('rc_3pid_validation', 0.003, 5, 'Mails and messages that validate an address.'),
    invitesPerRoom: limit('rc_invites.per_room', 0.3, 10, 'Invites into one room.'),
    invitesPerUser: limit('rc_invites.per_user', 0.003, 5, 'Invites to one user.'),
    invitesPerIssuer: limit('rc_invites.per_issuer', 0.3, 10, 'Invites from one user.'),
    thirdPartyInvite: limit('rc_third_party_invite', 0.2, 10, 'Invites by mail address.'),
    mediaCreate: limit('rc_media_create', 10, 50, 'Reserved media IDs per user.'),
    presencePerUser: limit('rc_presence.per_user', 0.1, 1, 'Presence updates by sync per user.'),
    delayedEventManagement: limit('rc_delayed_event_mgmt', 1, 5, 'Actions on delayed events per user.'),
    reports: limit('rc_reports', 1, 5, 'Reports of events, rooms and users.'),
    roomCreation: limit('rc_room_creation', 0.016, 10, 'Rooms made per user.'),
    userDirectory: limit('rc_user_directory', 0.016, 200, 'Searches of the user directory per user.'),
    keyRequests: limit('rc_key_requests', 20, 100, 'Requests for keys per user.'),
    profile: limit('rc_profile', 1, 500, 'Profile requests per user.'),
    federationWindowMs: key(
      'rc_federation.window_size',
      duration,
      1000,
      'The window over which requests of a server are counted.',
    ),
    federationSleepLimit: key(
      'rc_federation.sleep_limit',
      integer(),
      10,
      'Requests in the window before further ones are slowed.',
    ),
    federationSleepDelayMs: key('rc_federation.sleep_delay', duration, 500, 'How long a slowed request waits.'),
    federationRejectLimit: key(
      'rc_federation.reject_limit',
      integer(),
      50,
      'Requests waiting before further ones are refused.',
    ),
    federationConcurrent: key('rc_federation.concurrent', integer(1), 3, 'Requests of one server handled at once.'),
  },
);
