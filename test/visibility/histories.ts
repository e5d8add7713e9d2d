/** Every way in which a user can come and go, and in which a room can change who sees its history. */
export type Deed = 'join' | 'invite' | 'knock' | 'leave' | 'kick' | 'ban' | 'unban';
export type Membership = 'join' | 'invite' | 'knock' | 'leave' | 'ban';
export type Visibility = 'world_readable' | 'shared' | 'invited' | 'joined';
export type JoinRule = 'public' | 'knock';

/** What a user does, or has done to them, in one round each. */
export type Path = readonly Deed[];

/** The history visibility in each round. */
export type Timeline = { readonly joinRule: JoinRule; readonly rounds: readonly Visibility[] };

const VISIBILITIES: readonly Visibility[] = ['world_readable', 'shared', 'invited', 'joined'];

const MEMBERSHIP_AFTER: Readonly<Record<Deed, Membership>> = {
  join: 'join',
  invite: 'invite',
  knock: 'knock',
  leave: 'leave',
  kick: 'leave',
  ban: 'ban',
  unban: 'leave',
};

function deedsOf(membership: Membership | null, joinRule: JoinRule): readonly Deed[] {
  const wayIn = joinRule === 'public' ? 'join' : 'knock';
  switch (membership) {
    case null:
      return [wayIn, 'invite', 'ban'];
    case 'leave':
      return [wayIn, 'invite', 'ban'];
    case 'invite':
      return ['join', 'leave', 'ban'];
    case 'knock':
      return ['invite', 'leave', 'ban'];
    case 'join':
      return ['leave', 'kick', 'ban'];
    case 'ban':
      return ['unban'];
  }
}

/** All paths of up to `roundCount` deeds, that of who never has to do with the room among them. */
export function pathsOf(joinRule: JoinRule, roundCount: number): Path[] {
  let ends: { path: Path; membership: Membership | null }[] = [{ path: [], membership: null }];
  const all: Path[] = [[]];
  for (let round = 0; round < roundCount; round++) {
    ends = ends.flatMap(({ path, membership }) =>
      deedsOf(membership, joinRule).map((deed) => ({ path: [...path, deed], membership: MEMBERSHIP_AFTER[deed] })),
    );
    all.push(...ends.map(({ path }) => path));
  }
  return all;
}

/** All timelines with at most one change, at any round but the first. */
export function timelinesOf(roundCount: number): Timeline[] {
  return (['public', 'knock'] as const).flatMap((joinRule) =>
    VISIBILITIES.flatMap((first) => [
      { joinRule, rounds: Array.from({ length: roundCount }, () => first) },
      ...VISIBILITIES.filter((second) => second !== first).flatMap((second) =>
        Array.from({ length: roundCount - 1 }, (_, index) => ({
          joinRule,
          rounds: Array.from({ length: roundCount }, (__, round) => (round <= index ? first : second)),
        })),
      ),
    ]),
  );
}
