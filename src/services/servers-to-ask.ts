/** Which servers of a room are asked for history that we lack. */
import type { ServerName } from '../core/ids.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import { mayTakePart } from '../rooms/server-access.ts';

/** At most `most` of them: those with the most users in the room are the likeliest to have been there for long. */
export async function serversToAsk(
  deps: { readonly events: EventStore },
  live: LiveRoom,
  most: number,
): Promise<ServerName[]> {
  const servers: ServerName[] = [];
  for (const server of live.likeliestServers) {
    if (!(await mayTakePart(deps.events, live, server))) continue;
    if (servers.push(server) === most) break;
  }
  return servers;
}
