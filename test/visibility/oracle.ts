/**
 * Who may see what of a room: worked out from a plain list of what happened, by the specification's sentences and
 * nothing of the server's code.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
import type { JoinRule, Membership, Visibility } from './histories.ts';

export type Happening = {
  readonly eventId: string;
  /** What the event says that can be found again in an answer; null for none. */
  readonly marker: string | null;
  readonly sets:
    | { readonly kind: 'message' }
    | { readonly kind: 'topic' }
    | { readonly kind: 'visibility'; readonly visibility: Visibility }
    | { readonly kind: 'member'; readonly userId: string; readonly membership: Membership };
};

/** What a user may read of a room now. */
export type Access =
  | { readonly kind: 'none' }
  | { readonly kind: 'now' }
  /** As it was when the user's last stay ended: after the happening of this number. */
  | { readonly kind: 'left'; readonly at: number };

export class Oracle {
  readonly happenings: Happening[] = [];
  readonly #joinRule: JoinRule;

  constructor(joinRule: JoinRule) {
    this.#joinRule = joinRule;
  }

  add(happening: Happening): void {
    this.happenings.push(happening);
  }

  /** The visibility after the first `count` happenings; `shared` where none was set. */
  #visibilityAfter(count: number): Visibility {
    for (const { sets } of this.happenings.slice(0, count).reverse()) {
      if (sets.kind === 'visibility') return sets.visibility;
    }
    return 'shared';
  }

  #membershipAfter(count: number, userId: string): Membership | null {
    for (const { sets } of this.happenings.slice(0, count).reverse()) {
      if (sets.kind === 'member' && sets.userId === userId) return sets.membership;
    }
    return null;
  }

  membershipNow(userId: string): Membership | null {
    return this.#membershipAfter(this.happenings.length, userId);
  }

  get visibilityNow(): Visibility {
    return this.#visibilityAfter(this.happenings.length);
  }

  /** Whether the user may see the happening of a number. */
  sees(userId: string, at: number): boolean {
    const joinsLater = this.happenings
      .slice(at + 1)
      .some(({ sets }) => sets.kind === 'member' && sets.userId === userId && sets.membership === 'join');
    const allows = (visibility: Visibility, membership: Membership | null): boolean =>
      visibility === 'world_readable' ||
      membership === 'join' ||
      (visibility === 'shared' && joinsLater) ||
      (visibility === 'invited' && membership === 'invite');
    const visibilities = [this.#visibilityAfter(at), this.#visibilityAfter(at + 1)];
    const memberships = [this.#membershipAfter(at, userId), this.#membershipAfter(at + 1, userId)];
    return visibilities.some((visibility) => memberships.some((membership) => allows(visibility, membership)));
  }

  access(userId: string): Access {
    if (this.membershipNow(userId) === 'join' || this.visibilityNow === 'world_readable') return { kind: 'now' };
    let end: number | null = null;
    for (const [at, { sets }] of this.happenings.entries()) {
      const wasJoined = this.#membershipAfter(at, userId) === 'join';
      if (sets.kind === 'member' && sets.userId === userId && wasJoined && sets.membership !== 'join') end = at;
    }
    const now = this.membershipNow(userId);
    // An invite or a knock opens nothing of what was there before.
    const isOut = now === 'leave' || now === 'ban';
    return end === null || !isOut ? { kind: 'none' } : { kind: 'left', at: end };
  }

  /** Whether someone may learn what the room is called and how many are in it. */
  mayPreview(userId: string): boolean {
    const now = this.membershipNow(userId);
    if (now === 'ban') return this.visibilityNow === 'world_readable';
    return now === 'join' || now === 'invite' || this.#joinRule === 'public' || this.#joinRule === 'knock';
  }

  /** Topics that the user may know: those that were in force beside something that the user sees. */
  topicsKnownTo(userId: string): Set<string> {
    const known = new Set<string>();
    let topic: string | null = null;
    for (const [at, { sets, marker }] of this.happenings.entries()) {
      const before: string | null = topic;
      if (sets.kind === 'topic') topic = marker;
      if (!this.sees(userId, at)) continue;
      if (before !== null) known.add(before);
      if (topic !== null) known.add(topic);
    }
    // Whoever may preview a room learns its topic of today, and who is invited gets it as stripped state.
    if (topic !== null && (this.mayPreview(userId) || this.membershipNow(userId) === 'knock')) known.add(topic);
    return known;
  }
}
