/** What `/sync` asks of one room. */
import type { SyncFilter } from '../core/filter.ts';
import type { ViewReader } from '../rooms/client-view.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { StreamPosition } from '../stream/stream.ts';

/** The specification's name, and the one from before that the JavaScript SDK still asks for and looks under. */
export type StateAfterName = 'state_after' | 'org.matrix.msc4222.state_after';

export type RoomAsk = {
  readonly live: LiveRoom;
  readonly reader: ViewReader;
  readonly filter: SyncFilter;
  /** null: everything, as for a room that is new to the client. */
  readonly since: StreamPosition | null;
  /** Up to where the client knows the log, of this room or not; null where it begins. */
  readonly clientSince: StreamPosition | null;
  readonly upTo: StreamPosition;
  readonly wantsFullState: boolean;
  readonly stateAfter: StateAfterName | null;
  /** True where all events behind `since` are the reader's to see: joined the whole time. */
  readonly seesAll: boolean;
  /** Whether the members of a room that was joined before they came are known since then. */
  readonly hasNewMembers: boolean;
};
