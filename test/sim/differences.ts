/** What servers that share a room must hold alike, and where they do not. */

/** An event's row: whether it was taken in, and its place in the room's history. */
export type HeldEvent = {
  readonly standing: number;
  readonly position: number | null;
  readonly reason: string | null;
  readonly json: string;
};

/** What one server holds of the room. */
export type Held = {
  readonly server: string;
  /** Event IDs of the current state, by type and state key. */
  readonly state: ReadonlyMap<string, string>;
  readonly events: ReadonlyMap<string, HeldEvent>;
};

const OK = 0;
const REJECTED = 1;
const DIFFERENCES_MAX = 30;

/** A line for each difference; empty where all agree, and nothing that was acknowledged is missing anywhere. */
export function listDifferences(
  held: readonly Held[],
  acknowledged: readonly { eventId: string; what: string }[],
): string[] {
  const differences: string[] = [];
  for (const key of union(held.map(({ state }) => state))) {
    const values = held.map(({ server, state }) => [server, state.get(key) ?? 'nothing'] as const);
    if (new Set(values.map(([, value]) => value)).size > 1) differences.push(`state ${key}: ${tell(values)}`);
  }
  for (const eventId of union(held.map(({ events }) => events))) {
    const values = held.map(({ server, events }) => [server, standingOf(events.get(eventId))] as const);
    // What one turned down and the others never got is in nobody's room.
    const isInRoom = held.some(({ events }) => events.get(eventId)?.standing === OK);
    if (!isInRoom || values.every(([, value]) => value === 'accepted')) continue;
    const { json } = held.flatMap(({ events }) => events.get(eventId) ?? [])[0]!;
    const { type, sender, depth } = JSON.parse(json);
    differences.push(`event ${eventId} (${type} of ${sender} at depth ${depth}): ${tell(values)}`);
  }
  for (const { eventId, what } of acknowledged) {
    for (const { server, events } of held) {
      const standing = standingOf(events.get(eventId));
      if (standing !== 'accepted')
        differences.push(`acknowledged event ${eventId} (${what}) at ${server}: ${standing}`);
    }
  }
  return differences.slice(0, DIFFERENCES_MAX);
}

const union = (maps: readonly ReadonlyMap<string, unknown>[]): Set<string> =>
  new Set(maps.flatMap((map) => [...map.keys()]));

/** Soft failure is each server's own matter: such an event is accepted, and part of the graph. */
function standingOf(event: HeldEvent | undefined): string {
  if (event === undefined) return 'missing';
  if (event.standing === REJECTED) return `rejected: ${event.reason}`;
  return event.position === null ? 'without a place' : 'accepted';
}

/** Who holds what, those who hold the same together. */
function tell(values: readonly (readonly [server: string, value: string])[]): string {
  const servers = new Map<string, string[]>();
  for (const [server, value] of values) servers.set(value, [...(servers.get(value) ?? []), server]);
  return [...servers].map(([value, names]) => `${value} at ${names.join(', ')}`).join('; ');
}
