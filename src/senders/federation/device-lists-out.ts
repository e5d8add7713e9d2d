/**
 * Tells servers of the devices of a user of ours who comes to share a room with them. What changes later tells who changes
 * it; whoever was told nothing here can ask.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#device-management
 */
import { type ServerName, serverNameOf } from '../../core/ids.ts';
import type { Log } from '../../kit/log.ts';
import type { EventStore } from '../../rooms/event-store.ts';
import type { Rooms } from '../../rooms/rooms.ts';
import type { DeviceLists } from '../../services/device-lists.ts';
import type { Stream } from '../../stream/stream.ts';
import { Deeds } from './deeds.ts';

export type DeviceListsOutDeps = {
  readonly stream: Stream;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly deviceLists: Pick<DeviceLists, 'introduce'>;
  readonly serverName: ServerName;
  readonly log: Log;
};

export class DeviceListsOut {
  readonly #deeds: Deeds;
  readonly #stopListening: () => void;

  constructor({ stream, rooms, events, deviceLists, serverName, log }: DeviceListsOutDeps) {
    this.#deeds = new Deeds((error) => log.warn('Servers could not be told of the devices of who joined.', { error }));
    this.#stopListening = stream.listen(({ kind, roomNo, about }) => {
      // Of users of ours alone it is told whom a membership is about.
      if (kind !== 'event' || roomNo === null || about === null || serverNameOf(about) !== serverName) return;
      this.#deeds.start(async () => {
        const live = await rooms.find((await events.room(roomNo)).roomId);
        if (live?.membershipOf(about) !== 'join' || !live.hasRemoteServers) return;
        await deviceLists.introduce(about, roomNo, live.isPartial);
      });
    });
  }

  async stop(): Promise<void> {
    this.#stopListening();
    await this.#deeds.ended();
  }
}
