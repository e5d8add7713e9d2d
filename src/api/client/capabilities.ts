/** Spec module "Capabilities": what this server lets its users do. */
import type { Config } from '../../config/config.ts';
import { ROOM_RULES } from '../../core/room-versions.ts';
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, object } from '../../http/schema.ts';

export const capabilitiesEndpoints = ({ config }: { config: Pick<Config, 'registration' | 'rooms' | 'sessions'> }) => [
  endpoint({
    name: 'getCapabilities',
    method: 'GET',
    path: '/_matrix/client/v3/capabilities',
    auth: 'user-or-guest',
    reply: object({ capabilities: anyObject }),
    handler: ({ user }) => ({
      capabilities: {
        'm.change_password': {
          enabled: config.sessions.passwordLogin !== false && config.sessions.isLocalPasswordDatabaseEnabled,
        },
        'm.room_versions': {
          default: config.rooms.defaultRoomVersion,
          available: Object.fromEntries([...ROOM_RULES.keys()].map((version) => [version, 'stable'])),
        },
        'm.set_displayname': { enabled: config.registration.maySetDisplayName },
        'm.set_avatar_url': { enabled: config.registration.maySetAvatarUrl },
        'm.profile_fields': profileFields(config.registration),
        'm.3pid_changes': { enabled: false },
        'm.get_login_token': { enabled: config.sessions.loginViaExistingSession },
        'm.forget_forced_upon_leave': { enabled: config.rooms.forgetRoomsOnLeave },
        ...(user.isAdmin ? { 'm.account_management': { lock: true, suspend: true } } : {}),
      },
    }),
  }),
];

/** Which fields of a profile users may set: all but those that the configuration keeps. */
function profileFields(config: Config['registration']): { enabled: boolean; disallowed?: string[] } {
  const disallowed = [
    ...(config.maySetDisplayName ? [] : ['displayname']),
    ...(config.maySetAvatarUrl ? [] : ['avatar_url']),
  ];
  return { enabled: true, ...(disallowed.length === 0 ? {} : { disallowed }) };
}
