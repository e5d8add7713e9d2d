/**
 * Tells other servers which of our users are there: of each the newest, to those with members in the user's rooms.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#presence
 */
import { type ServerName, serverNameOf } from '../../core/ids.ts';
import type { Clock, Timer } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Presence, PresenceChange } from '../../services/presence.ts';
import type { Stream } from '../../stream/stream.ts';
import { Deeds } from './deeds.ts';
import type { FederationOutbox } from './federation-sender.ts';

export type PresenceOutDeps = {
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
  readonly presence: Pick<Presence, 'listServers' | 'eduOf'>;
  readonly outbox: FederationOutbox;
  readonly serverName: ServerName;
};

/** How long changes gather before they are told together. */
const GATHER_MS = 500;

export class PresenceOut {
  readonly #deps: PresenceOutDeps;
  /** By user and room, so that nobody is told twice of what is one. */
  readonly #gathered = new Map<string, PresenceChange>();
  readonly #deeds: Deeds;
  #timer: Timer | null = null;
  readonly #stopListening: () => void;

  constructor(deps: PresenceOutDeps) {
    this.#deps = deps;
    this.#deeds = new Deeds((error) => deps.log.warn('Who is there could not be told to other servers.', { error }));
    this.#stopListening = deps.stream.listen(({ kind, about, roomNo }) => {
      if (kind !== 'presence' || about === null || serverNameOf(about) !== deps.serverName) return;
      this.#gathered.set(`${about}\0${roomNo ?? ''}`, { userId: about, roomNo });
      this.#timer ??= deps.clock.after(GATHER_MS, () => this.#deeds.start(() => this.#tell()));
    });
  }

  async stop(): Promise<void> {
    this.#stopListening();
    this.#timer?.cancel();
    await this.settled();
  }

  /** Resolves when all that is due is handed over. */
  settled(): Promise<void> {
    return this.#deeds.ended();
  }

  async #tell(): Promise<void> {
    const { presence, outbox } = this.#deps;
    const changes = [...this.#gathered.values()];
    this.#gathered.clear();
    this.#timer = null;
    const servers = await presence.listServers(changes);
    for (const [index, { userId }] of changes.entries()) {
      const told = servers[index]!;
      if (told.size > 0) outbox.edu(told, 'm.presence', { push: [{ ...(await presence.eduOf(userId)) }] }, userId);
    }
  }
}
