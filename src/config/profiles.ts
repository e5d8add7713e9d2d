/** The section "Profiles". */
import { key, section } from './key.ts';
import { boolean, list, orNull, size, text } from './kinds.ts';

export const profilesSection = section('Profiles', 'Display names and avatars: who may see and set them.', {
  requireAuth: key(
    'require_auth_for_profile_requests',
    boolean,
    false,
    'Profiles are shown only to users who are logged in.',
  ),
  limitToSharedRooms: key(
    'limit_profile_requests_to_users_who_share_rooms',
    boolean,
    false,
    'Profiles are shown only to users in a common room.',
  ),
  includeOnInvite: key('include_profile_data_on_invite', boolean, true, 'Put name and avatar into invites.'),
  allowPerRoom: key('allow_per_room_profiles', boolean, true, 'A user may have another name in one room.'),
  avatarBytesMax: key('max_avatar_size', orNull(size), null, 'Largest avatar; null: no limit.'),
  avatarMimetypes: key('allowed_avatar_mimetypes', orNull(list(text)), null, 'Types of avatars; null: all.'),
  allowLookupOverFederation: key(
    'allow_profile_lookup_over_federation',
    boolean,
    true,
    'Other servers may ask for profiles.',
  ),
});
