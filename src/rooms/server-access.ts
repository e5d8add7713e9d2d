/** Which servers a room's access control list lets take part. */
import type { ServerName } from '../core/ids.ts';
import { serverAclOf } from '../core/server-acl.ts';
import { shownContent } from './client-view.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';

/** Whether a server may take part in a room now. A list that was redacted counts as what is left of it. */
export async function mayTakePart(events: EventStore, live: LiveRoom, server: ServerName): Promise<boolean> {
  const eventNo = live.currentNo('m.room.server_acl', '');
  return eventNo === null || serverAclOf(shownContent(await events.get(eventNo))).allows(server);
}
