/** What the main thread and the threads that check events say to each other. */
import type { EventVerdict, KnownKey } from '../core/event-check.ts';
import type { RoomVersion } from '../core/room-versions.ts';

/** An event as JSON text, and the keys that are known of those that it is signed with. */
export type EventToCheck = readonly [text: string, keys: readonly KnownKey[]];

export type EventCheckRequest = {
  readonly number: number;
  readonly version: RoomVersion;
  readonly events: readonly EventToCheck[];
};

export type EventCheckReply = { readonly number: number; readonly verdicts: readonly EventVerdict[] };
