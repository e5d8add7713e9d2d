/** The section "User directory". */
import { key, section } from './key.ts';
import { boolean } from './kinds.ts';

export const userDirectorySection = section('User directory', 'Searching for users by name.', {
  isEnabled: key('user_directory.enabled', boolean, true, 'Allow searching for users.'),
  searchAllUsers: key(
    'user_directory.search_all_users',
    boolean,
    false,
    'Find all local users, not only those in common or public rooms.',
  ),
  preferLocalUsers: key('user_directory.prefer_local_users', boolean, false, 'List local users first.'),
  excludeRemoteUsers: key('user_directory.exclude_remote_users', boolean, false, 'List local users only.'),
  showLockedUsers: key('user_directory.show_locked_users', boolean, false, 'List locked users too.'),
});
