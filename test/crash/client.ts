/** A client that remembers what the server has acknowledged, and what it was never told about. */
import type { Account } from '../support/shared-secret.ts';

export type Json = Record<string, unknown>;
export type Reply = { readonly status: number; readonly body: Json };

export class CrashClient {
  readonly userId: string;
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, account: Account) {
    this.#url = url;
    this.userId = account.userId;
    this.#token = account.accessToken;
  }

  /**
   * One request; `path` is below `/_matrix/client/v3`.
   *
   * @throws Error where the server went away: then nobody knows whether the deed was done
   */
  async call(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<Reply> {
    const reply = await fetch(`${this.#url}/_matrix/client/v3${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    });
    // Every answer of the client-server API is an object.
    return { status: reply.status, body: (await reply.json()) as Json };
  }

  /**
   * The same where the server is expected to be well.
   *
   * @throws Error for any status but 200
   */
  async get200(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<Json> {
    const reply = await this.call(method, path, body);
    if (reply.status !== 200) throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
    return reply.body;
  }

  async createRoom(options: object): Promise<string> {
    return String((await this.get200('POST', '/createRoom', options))['room_id']);
  }

  sendMessage(roomId: string, txnId: string, body: string): Promise<Reply> {
    const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${txnId}`;
    return this.call('PUT', path, { msgtype: 'm.text', body });
  }

  setState(roomId: string, type: string, stateKey: string, content: object): Promise<Reply> {
    const path = `/rooms/${encodeURIComponent(roomId)}/state/${type}/${encodeURIComponent(stateKey)}`;
    return this.call('PUT', path, content);
  }

  event(roomId: string, eventId: string): Promise<Reply> {
    return this.call('GET', `/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(eventId)}`);
  }

  async page(roomId: string, from: string | null): Promise<{ events: Json[]; end: string | null }> {
    const query = new URLSearchParams({ dir: 'b', limit: '100', ...(from === null ? {} : { from }) });
    const body = await this.get200('GET', `/rooms/${encodeURIComponent(roomId)}/messages?${query}`);
    const end = body['end'];
    return { events: body['chunk'] as Json[], end: typeof end === 'string' ? end : null };
  }

  /** All events of a room, oldest first; where `known` says stop, only those after it. */
  async history(roomId: string, known: (eventId: string) => boolean = () => false): Promise<Json[]> {
    const newestFirst: Json[] = [];
    for (let from: string | null = null; ; ) {
      const { events, end } = await this.page(roomId, from);
      for (const event of events) {
        if (known(String(event['event_id']))) return newestFirst.reverse();
        newestFirst.push(event);
      }
      if (end === null || events.length === 0) return newestFirst.reverse();
      from = end;
    }
  }
}
