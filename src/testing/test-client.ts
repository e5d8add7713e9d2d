/** Somebody who speaks to a test server over HTTP: nobody in particular, or a user who is logged in. */

/** JSON as it came. Tests take it apart freely, and their asserts say what it must be. */
type Parsed = ReturnType<typeof JSON.parse>;

export type Reply = {
  readonly status: number;
  readonly headers: Headers;
  /** What the JSON says; the text where it is no JSON. */
  readonly body: Parsed;
};

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export type TestRoom = { readonly id: string };

const roomIdOf = (room: TestRoom | string): string => (typeof room === 'string' ? room : room.id);

export class TestClient {
  readonly #url: () => string;
  readonly #token: string | null;

  constructor(url: () => string, token: string | null) {
    this.#url = url;
    this.#token = token;
  }

  /** Paths of the client-server API may begin at the version: `/v3/sync`. */
  get(path: string, query: Query = {}): Promise<Reply> {
    return this.request('GET', path, undefined, query);
  }

  put(path: string, body: unknown = {}, query: Query = {}): Promise<Reply> {
    return this.request('PUT', path, body, query);
  }

  post(path: string, body: unknown = {}, query: Query = {}): Promise<Reply> {
    return this.request('POST', path, body, query);
  }

  delete(path: string, body: unknown = {}, query: Query = {}): Promise<Reply> {
    return this.request('DELETE', path, body, query);
  }

  /** Any request. A body of bytes or text goes out as it is; everything else as JSON. */
  async request(
    method: string,
    path: string,
    body: unknown,
    query: Query = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> {
    const isWhole = /^\/(?:_|\.|health|metrics)/.test(path);
    const url = new URL(`${this.#url()}${isWhole ? '' : '/_matrix/client'}${path}`);
    for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value));
    const isRaw = typeof body === 'string' || body instanceof Uint8Array;
    const reply = await fetch(url, {
      method,
      redirect: 'manual',
      headers: {
        ...(this.#token === null ? {} : { authorization: `Bearer ${this.#token}` }),
        ...(body === undefined || isRaw ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      // Bytes are what fetch takes; its type only knows those of ArrayBuffers that are not shared.
      ...(body === undefined
        ? {}
        : { body: isRaw ? (body as NonNullable<RequestInit['body']>) : JSON.stringify(body) }),
    });
    const text = await reply.text();
    const isJson = reply.headers.get('content-type')?.startsWith('application/json') === true;
    return { status: reply.status, headers: reply.headers, body: isJson ? JSON.parse(text) : text };
  }
}

/** A user of a test server, logged in on one device. */
export class TestUser extends TestClient {
  readonly userId: string;
  readonly deviceId: string;
  readonly accessToken: string;
  #transactions = 0;

  constructor(url: () => string, session: { userId: string; deviceId: string; accessToken: string }) {
    super(url, session.accessToken);
    this.userId = session.userId;
    this.deviceId = session.deviceId;
    this.accessToken = session.accessToken;
  }

  /** A transaction ID that this user has not used yet. */
  transactionId(): string {
    this.#transactions++;
    return `t${this.#transactions}`;
  }

  async createRoom(content: object = {}): Promise<TestRoom> {
    return { id: succeeded(await this.post('/v3/createRoom', content)).room_id };
  }

  async join(room: TestRoom | string): Promise<void> {
    succeeded(await this.post(`/v3/join/${encodeURIComponent(roomIdOf(room))}`));
  }

  async invite(room: TestRoom | string, user: { readonly userId: string }): Promise<void> {
    succeeded(await this.post(`/v3/rooms/${encodeURIComponent(roomIdOf(room))}/invite`, { user_id: user.userId }));
  }

  async leave(room: TestRoom | string): Promise<void> {
    succeeded(await this.post(`/v3/rooms/${encodeURIComponent(roomIdOf(room))}/leave`));
  }

  /** Sends a text message; gives its event ID. */
  say(room: TestRoom | string, body: string): Promise<string> {
    return this.send(room, 'm.room.message', { msgtype: 'm.text', body });
  }

  /** Sends an event; gives its event ID. */
  async send(room: TestRoom | string, type: string, content: object): Promise<string> {
    const path = `/v3/rooms/${encodeURIComponent(roomIdOf(room))}/send/${encodeURIComponent(type)}`;
    return succeeded(await this.put(`${path}/${this.transactionId()}`, content)).event_id;
  }

  /** Sets a piece of state; gives its event ID. */
  async setState(room: TestRoom | string, type: string, content: object, stateKey = ''): Promise<string> {
    const path = `/v3/rooms/${encodeURIComponent(roomIdOf(room))}/state/${encodeURIComponent(type)}`;
    return succeeded(await this.put(`${path}/${encodeURIComponent(stateKey)}`, content)).event_id;
  }

  /** One sync, which waits for nothing unless the query says so. */
  async sync(since?: string, query: Query = {}): Promise<Parsed> {
    return succeeded(await this.get('/v3/sync', { since, timeout: 0, ...query }));
  }
}

/** What was answered. Throws where it was a refusal: for steps that set the scene. */
export function succeeded(reply: Reply): Parsed {
  if (reply.status !== 200) throw new Error(`The server answered ${reply.status}: ${JSON.stringify(reply.body)}`);
  return reply.body;
}
