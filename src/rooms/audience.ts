/** Who is told of what happens in a room, of the users of this server. */
import type { UserId } from '../core/ids.ts';
import type { LiveRoom } from './live-room.ts';
import type { StoredEvent } from './stored-event.ts';

/** Who learns of an event: the local members, and whom a member event concerns. */
export function audienceOf(live: LiveRoom, event: StoredEvent): ReadonlySet<UserId> {
  if (event.pdu.type !== 'm.room.member' || event.pdu.stateKey === null) return live.joinedLocal;
  const target = event.pdu.stateKey as UserId;
  if (live.joinedLocal.has(target) || !live.isLocal(target)) return live.joinedLocal;
  return new Set([...live.joinedLocal, target]);
}
