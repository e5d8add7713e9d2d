/** A Matrix client as thin as can be: what it costs itself must not disturb what it measures. */
import { Agent } from 'undici';
import type { Account } from '../support/shared-secret.ts';

/** An answer in which the caller knows what it asked for. */
export type Json = Record<string, unknown>;

/** Connections to one server, kept alive; HTTP/1.1 as behind a reverse proxy. */
export class Connection {
  readonly url: string;
  readonly #agent = new Agent({ allowH2: false, pipelining: 1, connections: null, headersTimeout: 0, bodyTimeout: 0 });

  constructor(url: string) {
    this.url = url;
  }

  /**
   * One request, its answer as text.
   *
   * @throws Error for any status but 200
   */
  async text(method: 'GET' | 'POST' | 'PUT', path: string, token: string, body?: object): Promise<string> {
    const reply = await this.#agent.request({
      origin: this.url,
      path,
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await reply.body.text();
    if (reply.statusCode !== 200) throw new Error(`${method} ${path}: ${reply.statusCode} ${text.slice(0, 500)}`);
    return text;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

const TIMELINE_LIMIT = 20;

/** One logged-in user. */
export class BenchUser {
  readonly userId: string;
  readonly #token: string;
  readonly #connection: Connection;
  #txnCount = 0;

  constructor(connection: Connection, account: Account) {
    this.#connection = connection;
    this.userId = account.userId;
    this.#token = account.accessToken;
  }

  /** The raw answer, for rows that need nothing from it. */
  raw(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<string> {
    return this.#connection.text(method, `/_matrix/client/v3${path}`, this.#token, body);
  }

  async #json(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<Json> {
    // Every answer of the client-server API is an object.
    return JSON.parse(await this.raw(method, path, body)) as Json;
  }

  async createRoom(options: object = {}): Promise<string> {
    return String((await this.#json('POST', '/createRoom', { preset: 'public_chat', ...options }))['room_id']);
  }

  async join(roomId: string): Promise<void> {
    await this.raw('POST', `/rooms/${encodeURIComponent(roomId)}/join`, {});
  }

  /** Joins a room through another server. */
  async joinThrough(serverName: string, roomId: string): Promise<void> {
    await this.raw('POST', `/join/${encodeURIComponent(roomId)}?server_name=${encodeURIComponent(serverName)}`, {});
  }

  /** How many are in a room. */
  async countJoined(roomId: string): Promise<number> {
    const reply = await this.#json('GET', `/rooms/${encodeURIComponent(roomId)}/joined_members`);
    // The answer of this API.
    return Object.keys(reply['joined'] as Json).length;
  }

  /** Sends a message, or one of an ordinary length; gives its event ID. */
  async say(roomId: string, text?: string): Promise<string> {
    const txnId = `b${this.#txnCount++}`;
    const body = text ?? `Message ${txnId}: about as long as what people write to each other.`;
    const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${txnId}`;
    return String((await this.#json('PUT', path, { msgtype: 'm.text', body }))['event_id']);
  }

  /** Sets the own name in one room only, which is a membership event. */
  async renameIn(roomId: string, displayname: string): Promise<void> {
    const path = `/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(this.userId)}`;
    await this.raw('PUT', path, { membership: 'join', displayname });
  }

  /** The path of a sync. `mark` makes a filter that means the same but that no cache of answers has met. */
  syncPath(since: string | null, timeoutMs: number, mark?: string, limit = TIMELINE_LIMIT): string {
    const ephemeral = mark === undefined ? {} : { ephemeral: { not_types: [`bench.${mark}`] } };
    const filter = JSON.stringify({ room: { timeline: { limit }, ...ephemeral } });
    const query = new URLSearchParams({ filter, timeout: String(timeoutMs), set_presence: 'offline' });
    if (since !== null) query.set('since', since);
    return `/sync?${query}`;
  }

  async sync(since: string | null, timeoutMs: number, limit?: number): Promise<{ nextBatch: string; text: string }> {
    const text = await this.raw('GET', this.syncPath(since, timeoutMs, undefined, limit));
    return { nextBatch: nextBatchOf(text), text };
  }

  /** One page of messages backwards; `end` is null at the beginning of the room. */
  async messages(
    roomId: string,
    from: string | null,
    limit: number,
  ): Promise<{ end: string | null; eventIds: string[] }> {
    const query = new URLSearchParams({ dir: 'b', limit: String(limit), ...(from === null ? {} : { from }) });
    const page = await this.#json('GET', `/rooms/${encodeURIComponent(roomId)}/messages?${query}`);
    const chunk = page['chunk'] as Json[];
    const end = page['end'];
    return { end: typeof end === 'string' ? end : null, eventIds: chunk.map((event) => String(event['event_id'])) };
  }

  /** Answers in a thread. */
  async reply(roomId: string, rootId: string): Promise<void> {
    const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/b${this.#txnCount++}`;
    const relation = { rel_type: 'm.thread', event_id: rootId, is_falling_back: true };
    const body = 'About as long as what people answer to each other.';
    await this.raw('PUT', path, { msgtype: 'm.text', body, 'm.relates_to': relation });
  }

  /** One page of a thread, the newest first; `next` is null where it begins. */
  async thread(roomId: string, rootId: string, from: string | null, limit: number): Promise<{ next: string | null }> {
    const query = new URLSearchParams({ limit: String(limit), ...(from === null ? {} : { from }) });
    const room = `/_matrix/client/v1/rooms/${encodeURIComponent(roomId)}`;
    const path = `${room}/relations/${encodeURIComponent(rootId)}/m.thread?${query}`;
    // Every answer of the client-server API is an object.
    const next = (JSON.parse(await this.#connection.text('GET', path, this.#token)) as Json)['next_batch'];
    return { next: typeof next === 'string' ? next : null };
  }

  /** All member events of a room. */
  async members(roomId: string): Promise<void> {
    await this.raw('GET', `/rooms/${encodeURIComponent(roomId)}/members`);
  }

  /** Searches all rooms for a word, as clients do: the newest first, each with what was said around it. */
  async search(term: string): Promise<void> {
    const context = { before_limit: 1, after_limit: 1, include_profile: true };
    const wish = { search_term: term, order_by: 'recent', event_context: context };
    await this.raw('POST', '/search', { search_categories: { room_events: wish } });
  }

  async setPresence(presence: string, statusMsg: string): Promise<void> {
    const path = `/presence/${encodeURIComponent(this.userId)}/status`;
    await this.raw('PUT', path, { presence, status_msg: statusMsg });
  }

  /** Tells that an event and all before it are read. */
  async read(roomId: string, eventId: string): Promise<void> {
    await this.raw('POST', `/rooms/${encodeURIComponent(roomId)}/receipt/m.read/${encodeURIComponent(eventId)}`, {});
  }

  async searchUsers(term: string): Promise<void> {
    await this.raw('POST', '/user_directory/search', { search_term: term });
  }

  /** A page of the room directory, or of what a search in it finds. */
  async publicRooms(ask: object): Promise<{ next: string | null }> {
    const next = (await this.#json('POST', '/publicRooms', ask))['next_batch'];
    return { next: typeof next === 'string' ? next : null };
  }

  /** The first page of what is in a space. */
  async hierarchy(roomId: string, limit: number): Promise<void> {
    const path = `/_matrix/client/v1/rooms/${encodeURIComponent(roomId)}/hierarchy?limit=${limit}`;
    await this.#connection.text('GET', path, this.#token);
  }

  async context(roomId: string, eventId: string, limit: number): Promise<void> {
    await this.raw('GET', `/rooms/${encodeURIComponent(roomId)}/context/${encodeURIComponent(eventId)}?limit=${limit}`);
  }
}

/** The token of a sync's answer, without parsing the whole where it can be found. */
function nextBatchOf(text: string): string {
  const found = /"next_batch":\s*"([^"]+)"/.exec(text)?.[1];
  if (found === undefined) throw new Error('A sync without next_batch');
  return found;
}
