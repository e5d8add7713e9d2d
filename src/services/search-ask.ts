/** What a client asks of a search. */
import type { RoomEventFilter } from '../core/filter.ts';
import type { SearchKey } from '../core/search-text.ts';
import type { SearchGroup } from './search-token.ts';

export type ContextAsk = {
  readonly beforeLimit: number;
  readonly afterLimit: number;
  readonly includesProfile: boolean;
};

export type SearchAsk = {
  readonly term: string;
  readonly keys: ReadonlySet<SearchKey>;
  readonly filter: RoomEventFilter;
  readonly orderBy: 'rank' | 'recent';
  readonly context: ContextAsk | null;
  readonly includesState: boolean;
  readonly groupBy: ReadonlySet<SearchGroup['by']>;
  /** A token of an earlier page. */
  readonly nextBatch?: string;
};
