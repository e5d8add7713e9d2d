/** Spec module "Server side search". */
import { compileRoomEventFilter } from '../../core/filter.ts';
import { SEARCH_KEYS } from '../../core/search-text.ts';
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import {
  anyObject,
  array,
  boolean,
  integerBetween,
  object,
  oneOf,
  optional,
  orNull,
  string,
  stringUpTo,
} from '../../http/schema.ts';
import type { Search } from '../../services/search.ts';
import { v3 } from './paths.ts';
import { viewReaderOf } from './rooms.ts';

const TERM_CHARS_MAX = 10_000;
const CONTEXT_DEFAULT = 5;
const count = integerBetween(0, Number.MAX_SAFE_INTEGER);

export const searchEndpoints = ({ search }: { search: Search }): Endpoint[] => [
  endpoint({
    name: 'search',
    method: 'POST',
    ...v3('/search'),
    auth: 'user',
    query: object({ next_batch: optional(string) }),
    body: object({
      search_categories: object({
        room_events: optional(
          object({
            search_term: stringUpTo(TERM_CHARS_MAX),
            keys: optional(array(oneOf(...SEARCH_KEYS), { maxItems: 100 })),
            filter: optional(orNull(anyObject)),
            order_by: optional(oneOf('rank', 'recent')),
            event_context: optional(
              orNull(
                object({
                  before_limit: optional(count),
                  after_limit: optional(count),
                  include_profile: optional(boolean),
                }),
              ),
            ),
            include_state: optional(boolean),
            groupings: optional(
              object({
                group_by: optional(array(object({ key: oneOf('room_id', 'sender') }), { maxItems: 100 })),
              }),
            ),
          }),
        ),
      }),
    }),
    reply: anyObject,
    async handler({ user, query, body }) {
      const wish = body.search_categories.room_events;
      if (wish === undefined) return new JsonText('{"search_categories":{}}');
      const context = wish.event_context;
      const found = await search.roomEvents(viewReaderOf(user), {
        term: wish.search_term,
        keys: new Set(wish.keys ?? SEARCH_KEYS),
        filter: compileRoomEventFilter(wish.filter ?? {}),
        orderBy: wish.order_by ?? 'rank',
        context:
          context == null
            ? null
            : {
                beforeLimit: context.before_limit ?? CONTEXT_DEFAULT,
                afterLimit: context.after_limit ?? CONTEXT_DEFAULT,
                includesProfile: context.include_profile ?? false,
              },
        includesState: wish.include_state ?? false,
        groupBy: new Set((wish.groupings?.group_by ?? []).map(({ key }) => key)),
        ...(query.next_batch === undefined || query.next_batch === '' ? {} : { nextBatch: query.next_batch }),
      });
      return new JsonText(`{"search_categories":{"room_events":${found}}}`);
    },
  }),
];
