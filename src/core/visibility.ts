/**
 * Whether a user may see an event. One function decides for every way of reading (threats D2, D3).
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
import type { JsonObject } from './json-value.ts';

export type HistoryVisibility = 'world_readable' | 'shared' | 'invited' | 'joined';

/**
 * What the decision hangs on. "Before" and "after" are the room state just before and just after the event; they
 * differ only for the state event that is being judged. Memberships are the user's own; null for none.
 */
export type VisibilityFacts = {
  readonly visibilityBefore: HistoryVisibility;
  readonly visibilityAfter: HistoryVisibility;
  readonly membershipBefore: string | null;
  readonly membershipAfter: string | null;
  readonly membershipNow: string | null;
  /**
   * Whether the user joined at any time after the event, also if they have left since. Where it is not given, the user
   * counts as having joined if they are joined now.
   */
  readonly hasJoinedSince?: boolean;
};

/** The visibility that an `m.room.history_visibility` content sets; `shared` where there is none or it is not understood. */
export function readHistoryVisibility(content: JsonObject | undefined): HistoryVisibility {
  const value = content?.['history_visibility'];
  return value === 'world_readable' || value === 'invited' || value === 'joined' ? value : 'shared';
}

/**
 * Whether the user may see the event. A change of history visibility, and a change of the user's own membership, is
 * seen when the state before or the state after it would allow that.
 */
export function isEventVisible(facts: VisibilityFacts): boolean {
  const hasJoinedSince = facts.hasJoinedSince ?? facts.membershipNow === 'join';
  return (
    isVisibleIn(facts.visibilityBefore, facts.membershipBefore, hasJoinedSince) ||
    isVisibleIn(facts.visibilityBefore, facts.membershipAfter, hasJoinedSince) ||
    isVisibleIn(facts.visibilityAfter, facts.membershipBefore, hasJoinedSince) ||
    isVisibleIn(facts.visibilityAfter, facts.membershipAfter, hasJoinedSince)
  );
}

/** As for a user, of a server that is in the room: the memberships are those of all its users just before and after. */
export type ServerVisibilityFacts = {
  readonly visibilityBefore: HistoryVisibility;
  readonly visibilityAfter: HistoryVisibility;
  readonly memberships: Iterable<string>;
};

/** Whether a server with a joined user may see the event: it may where one of its users may have. */
export function isEventVisibleToServer({
  visibilityBefore,
  visibilityAfter,
  memberships,
}: ServerVisibilityFacts): boolean {
  const visibilities = [visibilityBefore, visibilityAfter];
  if (visibilities.some((visibility) => isVisibleIn(visibility, null, true))) return true;
  for (const membership of memberships) {
    if (visibilities.some((visibility) => isVisibleIn(visibility, membership, true))) return true;
  }
  return false;
}

/** The five rules of the specification, by their numbers. */
function isVisibleIn(visibility: HistoryVisibility, membership: string | null, hasJoinedSince: boolean): boolean {
  if (visibility === 'world_readable') return true; // 1
  if (membership === 'join') return true; // 2
  if (visibility === 'shared' && hasJoinedSince) return true; // 3
  return visibility === 'invited' && membership === 'invite'; // 4, else 5
}
