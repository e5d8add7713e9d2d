/** An honest room beside the attacks: a server that does nothing wrong, and a local user who listens to it. */
import assert from 'node:assert/strict';
import type { RemoteServer } from '../../src/testing/remote-server.ts';
import type { TestRoom, TestUser } from '../../src/testing/test-client.ts';
import { type PlayedRoom, playedRoom } from '../support/played-room.ts';

type Message = { readonly event_id: string };

export class HonestRoom {
  readonly #hearer: TestUser;
  readonly #room: TestRoom;
  readonly #played: PlayedRoom;
  #since: string;
  #said = 0;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(hearer: TestUser, room: TestRoom, played: PlayedRoom, since: string) {
    this.#hearer = hearer;
    this.#room = room;
    this.#played = played;
    this.#since = since;
  }

  static async open(honest: RemoteServer, hearer: TestUser): Promise<HonestRoom> {
    const { room, played } = await playedRoom(honest, hearer);
    return new HonestRoom(hearer, room, played, (await hearer.sync()).next_batch);
  }

  /** An event of the honest server is answered, and reaches the user's sync, once. Gives how long that took. */
  deliver(): Promise<number> {
    const delivery = this.#last.then(() => this.#deliver());
    this.#last = delivery.catch(() => {});
    return delivery;
  }

  async #deliver(): Promise<number> {
    const said = this.#played.say(`honest ${++this.#said}`);
    const startedMs = performance.now();
    const heard = this.#hear();
    const answered = this.#played.send([said]);
    assert.deepEqual(await answered, { [said.eventId]: {} });
    assert.deepEqual(await heard, [said.eventId]);
    return performance.now() - startedMs;
  }

  /** What comes next in the room. */
  async #hear(): Promise<string[]> {
    for (;;) {
      const sync = await this.#hearer.sync(this.#since, { timeout: 30_000 });
      this.#since = sync.next_batch;
      const events: Message[] = sync.rooms?.join?.[this.#room.id]?.timeline.events ?? [];
      if (events.length > 0) return events.map((event) => event.event_id);
    }
  }
}
