/**
 * Rooms that this server is not in, as other servers tell of them. These may be hostile: what a question costs is bounded
 * in time, number and size (threat D13).
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#spaces
 */
import { LRUCache } from 'lru-cache';
import { FEDERATION } from '../contracts/federation/index.ts';
import { parseRoomId, parseServerName, type RoomId, type ServerName, serverNameOf } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';
import type { RoomSummary, SpaceChild } from '../rooms/room-facts.ts';
import { childrenTold, summaryTold } from './told-rooms.ts';

/** Who told of a space, of whose children something was told with it. */
export type Teller = { readonly server: ServerName; readonly spaceId: RoomId };

export type RemoteAsk = {
  /** As state names it: it need be no room ID. */
  readonly roomId: string;
  readonly via: readonly string[];
  /** By whom we know of the room; null where no other server told of it. */
  readonly teller: Teller | null;
  readonly suggestedOnly: boolean;
};

export type RemoteRoom = {
  readonly summary: RoomSummary;
  readonly children: readonly SpaceChild[];
  /** null for a room of which no more was told than its summary. */
  readonly teller: Teller | null;
};

export type RemoteSpacesDeps = {
  readonly client: Pick<FederationClient, 'call'>;
  readonly serverName: ServerName;
  readonly clock: Clock;
};

/** What one server told of a room. */
type Told = {
  readonly summary: RoomSummary;
  readonly children: readonly SpaceChild[];
  /** What it told of the children. */
  readonly others: ReadonlyMap<string, RoomSummary>;
};

/** What one server answered, and until when that is believed. */
type Answer = { readonly told: Told; readonly endsMs: number };

/** How long one server may take for one answer. */
const ANSWER_MS = 10_000;
/** How many servers are asked for one room. */
const SERVERS_MAX = 3;
/** How many questions one request of a user may ask, and for how long it goes on asking. */
const QUESTIONS_MAX = 20;
const WALK_MS = 20_000;
/** What was told is believed for some minutes: walks come back page by page. */
const BELIEVED_MS = 5 * 60_000;
const ANSWERS_BYTES_MAX = 4_000_000;
/** How many children of a space are looked at for what is told of them. */
const OTHERS_MAX = 1000;

export class RemoteSpaces {
  readonly #deps: RemoteSpacesDeps;
  /** By server: what one of them says is nothing that another one said. */
  readonly #answers = new LRUCache<string, Answer>({
    maxSize: ANSWERS_BYTES_MAX,
    sizeCalculation: ({ told }) => 300 + 2 * JSON.stringify([told, ...told.others.values()]).length,
  });
  readonly #asking = new Map<string, Promise<Told | null | 'away'>>();

  constructor(deps: RemoteSpacesDeps) {
    this.#deps = deps;
  }

  /** Finds rooms, within the bounds of one request of one user. */
  walk(): RemoteWalk {
    return new RemoteWalk(this, this.#deps);
  }

  /** What a server told of a room lately. */
  recall(server: ServerName, roomId: RoomId, suggestedOnly: boolean): Told | undefined {
    const answer = this.#answers.get(keyOf(server, roomId, suggestedOnly));
    return answer !== undefined && this.#deps.clock.now() < answer.endsMs ? answer.told : undefined;
  }

  /**
   * Asks a server for a room. null where it tells nothing, or of another room than it was asked for; `away` where it is
   * not there to be asked.
   */
  async ask(server: ServerName, roomId: RoomId, suggestedOnly: boolean): Promise<Told | null | 'away'> {
    const key = keyOf(server, roomId, suggestedOnly);
    const running = this.#asking.get(key);
    if (running !== undefined) return running;
    const asking = this.#ask(server, roomId, suggestedOnly)
      .then((told) => {
        // Who told nothing may tell something the next time: the user may have come into a room that opens this one.
        if (told !== null && told !== 'away')
          this.#answers.set(key, { told, endsMs: this.#deps.clock.now() + BELIEVED_MS });
        return told;
      })
      .finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #ask(server: ServerName, roomId: RoomId, suggestedOnly: boolean): Promise<Told | null | 'away'> {
    const { client, clock } = this.#deps;
    const deadline = new AbortController();
    const timer = clock.after(ANSWER_MS, () => {
      deadline.abort(new RemoteError('unreachable', `${server} took too long to tell of a room.`));
    });
    try {
      const input = { params: { roomId }, query: { suggested_only: suggestedOnly } };
      const reply = await client.call(server, FEDERATION.getSpaceHierarchy, input, { signal: deadline.signal });
      const summary = summaryTold(reply.room);
      if (summary === null || summary.room_id !== roomId) return null;
      const children = summary.room_type === 'm.space' ? childrenTold(reply.room['children_state']) : [];
      const childIds = new Set(children.map((child) => child.roomId));
      const others = reply.children.slice(0, OTHERS_MAX).map(summaryTold);
      const known = others.filter((other) => other !== null && childIds.has(other.room_id));
      return { summary, children, others: new Map(known.map((other) => [other!.room_id, other!])) };
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      return error.fault === 'refused' || error.fault === 'bad-reply' ? null : 'away';
    } finally {
      timer.cancel();
    }
  }
}

/** What a request of one user finds out from other servers. */
export class RemoteWalk {
  readonly #spaces: RemoteSpaces;
  readonly #deps: Pick<RemoteSpacesDeps, 'serverName' | 'clock'>;
  readonly #endsMs: number;
  /** Servers that were not there when they were asked: they are not asked for other rooms either. */
  readonly #away = new Set<ServerName>();
  #questions = 0;

  constructor(spaces: RemoteSpaces, deps: Pick<RemoteSpacesDeps, 'serverName' | 'clock'>) {
    this.#spaces = spaces;
    this.#deps = deps;
    this.#endsMs = deps.clock.now() + WALK_MS;
  }

  /** A room as one of the servers tells of it: null where none does, `later` where this walk may ask no more. */
  async find({ roomId: named, via, teller, suggestedOnly }: RemoteAsk): Promise<RemoteRoom | null | 'later'> {
    const roomId = parseRoomId(named);
    if (roomId === null) return null;
    const told = teller === null ? null : this.#spaces.recall(teller.server, teller.spaceId, suggestedOnly);
    const summary = told?.others.get(roomId);
    // A room that is no space has no children to ask for.
    if (summary !== undefined && summary.room_type !== 'm.space') return { summary, children: [], teller: null };
    for (const server of this.#servers(roomId, via)) {
      if (this.#away.has(server)) continue;
      let answer: Told | null | 'away' | undefined = this.#spaces.recall(server, roomId, suggestedOnly);
      if (answer === undefined) {
        if (this.#questions >= QUESTIONS_MAX || this.#deps.clock.now() >= this.#endsMs) return 'later';
        this.#questions++;
        answer = await this.#spaces.ask(server, roomId, suggestedOnly);
      }
      if (answer === 'away') this.#away.add(server);
      if (answer === null || answer === 'away') continue;
      return { summary: answer.summary, children: answer.children, teller: { server, spaceId: roomId } };
    }
    return summary === undefined ? null : { summary, children: [], teller: null };
  }

  #servers(roomId: RoomId, via: readonly string[]): ServerName[] {
    const named = via.map((server) => parseServerName(server)).filter((server) => server !== null);
    // Room IDs of version 12 name no server.
    const ofId = serverNameOf(roomId);
    const all = new Set([...named, ...(ofId === null ? [] : [ofId])]);
    all.delete(this.#deps.serverName);
    return [...all].slice(0, SERVERS_MAX);
  }
}

const keyOf = (server: ServerName, roomId: RoomId, suggestedOnly: boolean): string =>
  `${server} ${roomId} ${suggestedOnly}`;
