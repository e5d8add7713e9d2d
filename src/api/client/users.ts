/** Spec module "User directory". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { array, boolean, integerBetween, object, optional, string, stringUpTo } from '../../http/schema.ts';
import type { UserDirectory } from '../../services/user-directory.ts';
import { v3 } from './paths.ts';

const TERM_CHARS_MAX = 10_000;

export const userEndpoints = ({ userDirectory }: { userDirectory: UserDirectory }): Endpoint[] => [
  endpoint({
    name: 'searchUserDirectory',
    method: 'POST',
    ...v3('/user_directory/search'),
    auth: 'user',
    rateLimit: 'userDirectory',
    body: object({
      search_term: stringUpTo(TERM_CHARS_MAX),
      limit: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)),
    }),
    reply: object({
      results: array(object({ user_id: string, display_name: optional(string), avatar_url: optional(string) })),
      limited: boolean,
    }),
    async handler({ user, body }) {
      const { users, isLimited } = await userDirectory.search(user.userId, body.search_term, body.limit);
      const results = users.map(({ userId, displayName, avatarUrl }) => ({
        user_id: userId as string,
        ...(displayName === null ? {} : { display_name: displayName }),
        ...(avatarUrl === null ? {} : { avatar_url: avatarUrl }),
      }));
      return { results, limited: isLimited };
    },
  }),
];
