/** A world of servers that share a room: it is set up, lives through a plan, comes to rest, and is looked at. */
import { seededRandom } from '../../src/kit/random.ts';
import { Activity } from './activity.ts';
import { type Held, type HeldEvent, listDifferences } from './differences.ts';
import type { Deed, Person, Plan } from './plan.ts';
import { SimClock } from './sim-clock.ts';
import type { SimDisks } from './sim-disk.ts';
import { SimNetwork } from './sim-network.ts';
import { SimServer } from './sim-server.ts';

export type Outcome = {
  readonly seed: number;
  /** What went wrong; empty where all servers agree and kept their word. */
  readonly problems: readonly string[];
  /** What was done, a line each, with what became of it. */
  readonly log: readonly string[];
  readonly acknowledged: number;
  /** Those of the room that some server holds at the end. */
  readonly events: number;
  readonly requests: number;
  readonly crashes: number;
};

const START_MS = 1_700_000_000_000;
const MINUTE_MS = 60_000;
/** A request that takes longer than this is one that is never answered. */
const REQUEST_MS_MAX = 10 * MINUTE_MS;
/** Longer than anything waits before it is tried again for the last time. */
const REST_MS_MAX = 30 * 60 * MINUTE_MS;
const FAULTS_MAX = 20;

/** Lives through a plan. */
export async function runPlan(plan: Plan, disks: SimDisks): Promise<Outcome> {
  const world = new World(plan, disks);
  try {
    await world.live();
  } catch (error) {
    world.problems.push(`The simulation itself failed: ${error instanceof Error ? error.stack : error}`);
  } finally {
    world.remove();
  }
  return world.outcome();
}

class World {
  readonly problems: string[] = [];
  readonly #plan: Plan;
  readonly #clock = new SimClock(START_MS);
  readonly #activity = new Activity();
  readonly #network: SimNetwork;
  readonly #servers: SimServer[];
  readonly #log: string[] = [];
  /** Requests without an answer yet, by what they are. */
  readonly #open = new Map<object, string>();
  readonly #acknowledged: { eventId: string; what: string }[] = [];
  #roomId = '';
  /** Events from before all servers were in the room: who came later need not have them. */
  readonly #earlier = new Set<string>();
  #count = 0;
  #crashes = 0;
  #events = 0;

  constructor(plan: Plan, disks: SimDisks) {
    this.#plan = plan;
    const [clock, activity] = [this.#clock, this.#activity];
    const network = new SimNetwork({ clock, activity, random: seededRandom(plan.seed + 1) });
    this.#network = network;
    this.#servers = plan.servers.map((localparts, index) => {
      const seed = plan.seed * 100 + index + 2;
      const onFault = (text: string): void => {
        this.#say(`FAULT ${text}`);
        if (this.problems.length < FAULTS_MAX) this.problems.push(text);
      };
      return new SimServer({
        name: nameOf(index),
        localparts,
        seed,
        clock,
        activity,
        network,
        disk: disks.make(),
        onFault,
      });
    });
  }

  outcome(): Outcome {
    const { seed } = this.#plan;
    const { requests } = this.#network;
    const acknowledged = this.#acknowledged.length;
    const events = this.#events;
    return { seed, problems: this.problems, log: this.#log, acknowledged, events, requests, crashes: this.#crashes };
  }

  remove(): void {
    for (const server of this.#servers) {
      server.crash();
      server.disk.remove();
    }
  }

  async live(): Promise<void> {
    await this.#drive(Promise.all(this.#servers.map((server) => server.start())));
    await this.#makeRoom();
    const begunMs = this.#clock.now();
    for (const { atMs, deed } of this.#plan.steps) {
      await this.#goTo(begunMs + atMs);
      await this.#perform(deed);
    }
    await this.#heal();
    await this.#rest();
    // Whatever was left without a successor gets one, and the last word stands on all words before it.
    for (const server of this.#servers.keys()) {
      this.#do({ server, localpart: 'a' }, 'closing', 'PUT', this.#sendPath(), { msgtype: 'm.text', body: 'closing' });
      await this.#rest();
    }
    await this.#compare();
  }

  async #makeRoom(): Promise<void> {
    const { roomVersion, servers } = this.#plan;
    const levels: [string, number][] = servers.flatMap((localparts, index) =>
      localparts.map((localpart): [string, number] => [
        userIdOf({ server: index, localpart }),
        localpart === 'a' ? 100 : localpart === 'b' ? 50 : 0,
      ]),
    );
    const users = Object.fromEntries(roomVersion === '12' ? levels.slice(1) : levels);
    const made = await this.#demand({ server: 0, localpart: 'a' }, 'POST', '/v3/createRoom', {
      preset: 'public_chat',
      room_version: roomVersion,
      power_level_content_override: { users },
    });
    this.#roomId = String(made['room_id']);
    for (let server = 1; server < servers.length; server++) {
      await this.#demand({ server, localpart: 'a' }, 'POST', `/v3/join/${this.#room}?via=${nameOf(0)}`, {});
    }
    for (const eventId of this.#eventsAt(this.#servers[0]!).keys()) this.#earlier.add(eventId);
  }

  #eventsAt({ disk }: SimServer): Map<string, HeldEvent> {
    const rows = disk.read<HeldEvent & { event_id: string }>(
      'select event_id, standing, position, reason, json from events join rooms using (room_no) where room_id = ?',
      this.#roomId,
    );
    return new Map(rows.filter(({ event_id }) => !this.#earlier.has(event_id)).map((row) => [row.event_id, row]));
  }

  get #room(): string {
    return encodeURIComponent(this.#roomId);
  }

  #sendPath(): string {
    return `/v3/rooms/${this.#room}/send/m.room.message/t${this.#count++}`;
  }

  async #perform(deed: Deed): Promise<void> {
    switch (deed.kind) {
      case 'message':
        this.#do(deed.by, 'message', 'PUT', this.#sendPath(), { msgtype: 'm.text', body: `message ${this.#count}` });
        return;
      case 'state': {
        const path = `/v3/rooms/${this.#room}/state/${deed.type}/${deed.stateKey}`;
        const content = { [deed.type === 'm.room.name' ? 'name' : 'topic']: `state ${this.#count++}` };
        this.#do(deed.by, `${deed.type} "${deed.stateKey}"`, 'PUT', path, content);
        return;
      }
      case 'name': {
        const path = `/v3/rooms/${this.#room}/state/m.room.member/${encodeURIComponent(userIdOf(deed.by))}`;
        this.#do(deed.by, 'a new name', 'PUT', path, { membership: 'join', displayname: `name ${this.#count++}` });
        return;
      }
      case 'redact': {
        const { eventId } = this.#acknowledged.at(-1 - deed.back) ?? {};
        if (eventId === undefined) return;
        const path = `/v3/rooms/${this.#room}/redact/${encodeURIComponent(eventId)}/t${this.#count++}`;
        this.#do(deed.by, `redact ${eventId}`, 'PUT', path, {});
        return;
      }
      case 'power':
        return this.#changePower(deed);
      case 'join-rule': {
        const path = `/v3/rooms/${this.#room}/state/m.room.join_rules/`;
        this.#do(deed.by, `join rule ${deed.rule}`, 'PUT', path, { join_rule: deed.rule });
        return;
      }
      case 'kick':
      case 'ban':
      case 'unban':
      case 'invite': {
        const target = userIdOf(deed.of);
        this.#do(deed.by, `${deed.kind} ${target}`, 'POST', `/v3/rooms/${this.#room}/${deed.kind}`, {
          user_id: target,
        });
        return;
      }
      case 'join': {
        this.#do(deed.by, 'join', 'POST', `/v3/join/${this.#room}?via=${nameOf(deed.via)}`, {});
        return;
      }
      case 'knock':
        this.#do(deed.by, 'knock', 'POST', `/v3/knock/${this.#room}?via=${nameOf(deed.via)}`, {});
        return;
      case 'history':
        // Reads further back than the server of somebody who came late has anything: it is fetched.
        this.#do(deed.by, 'history', 'GET', `/v3/rooms/${this.#room}/messages?dir=b&limit=100`);
        return;
      case 'receipt': {
        const { eventId } = this.#acknowledged.at(-1) ?? {};
        if (eventId === undefined) return;
        const path = `/v3/rooms/${this.#room}/receipt/m.read/${encodeURIComponent(eventId)}`;
        this.#do(deed.by, 'receipt', 'POST', path, {});
        return;
      }
      case 'typing': {
        const path = `/v3/rooms/${this.#room}/typing/${encodeURIComponent(userIdOf(deed.by))}`;
        this.#do(deed.by, 'typing', 'PUT', path, { typing: true, timeout: 10_000 });
        return;
      }
      case 'leave':
        this.#do(deed.by, 'leave', 'POST', `/v3/rooms/${this.#room}/leave`, {});
        return;
      case 'break':
      case 'mend':
        this.#say(
          `${deed.kind} ${deed.kind === 'break' ? `(${deed.fault}) ` : ''}${deed.wires.map(wireName).join(' ')}`,
        );
        for (const [from, to] of deed.wires) {
          if (deed.kind === 'break') this.#network.break(nameOf(from), nameOf(to), deed.fault);
          else this.#network.mend(nameOf(from), nameOf(to));
        }
        return;
      case 'crash':
        this.#say(`crash ${nameOf(deed.server)}`);
        if (this.#servers[deed.server]!.process !== null) this.#crashes++;
        this.#servers[deed.server]!.crash();
        return;
      case 'start':
        return this.#start(deed.server);
    }
  }

  async #start(index: number): Promise<void> {
    const server = this.#servers[index]!;
    if (server.process !== null) return;
    this.#say(`start ${server.name}`);
    await this.#drive(server.start());
  }

  async #changePower({ by, of, level, events }: Deed & { kind: 'power' }): Promise<void> {
    const path = `/v3/rooms/${this.#room}/state/m.room.power_levels`;
    const server = this.#servers[by.server]!;
    const asked = server.asUser(by.localpart, 'GET', path);
    const found = await this.#drive(asked);
    if (found === null || found.status !== 200) return;
    // Of the room's own making.
    const content = found.body as { users?: Record<string, number> };
    const users = { ...content.users, [userIdOf(of)]: level };
    const what = `level ${level} for ${userIdOf(of)}, ${events} for events`;
    this.#do(by, what, 'PUT', `${path}/`, { ...content, users, events_default: events });
  }

  /** Asks for something, and goes on. */
  #do(by: Person, what: string, method: string, path: string, body?: object): void {
    void this.#request(by, what, method, path, body);
  }

  async #request(by: Person, what: string, method: string, path: string, body?: object) {
    const said = `${userIdOf(by)}: ${what}`;
    const key = {};
    this.#open.set(key, said);
    const number = this.#say(`${said} …`);
    const reply = await this.#servers[by.server]!.asUser(by.localpart, method, path, body);
    this.#open.delete(key);
    const eventId = reply?.body['event_id'];
    const became =
      reply === null
        ? 'no answer'
        : `${reply.status} ${eventId ?? reply.body['errcode'] ?? ''} ${reply.body['error'] ?? ''}`;
    this.#log[number] = this.#log[number]!.replace(/…$/, `→ ${became} (at ${this.#time()})`);
    if (reply !== null && reply.status >= 500 && reply.status !== 502 && reply.status !== 504) {
      this.problems.push(`${said}: ${reply.status} ${JSON.stringify(reply.body)}`);
    }
    // What changes nothing is answered with the event that is there.
    if (reply?.status === 200 && typeof eventId === 'string' && !this.#earlier.has(eventId))
      this.#acknowledged.push({ eventId, what: said });
    return reply;
  }

  async #demand(by: Person, method: string, path: string, body: object): Promise<Record<string, unknown>> {
    const reply = await this.#drive(this.#request(by, `${method} ${path}`, method, path, body));
    if (reply?.status !== 200) throw new Error(`${method} ${path}: ${JSON.stringify(reply)}`);
    return reply.body;
  }

  /** All wires are whole, and all servers run. */
  async #heal(): Promise<void> {
    this.#say('all is mended');
    for (const from of this.#servers) for (const to of this.#servers) this.#network.mend(from.name, to.name);
    for (const index of this.#servers.keys()) await this.#start(index);
  }

  /** Turns time until nobody has anything to tell or to try again. */
  async #rest(): Promise<void> {
    const endMs = this.#clock.now() + REST_MS_MAX;
    while (this.#clock.now() < endMs) {
      const { requests } = this.#network;
      await this.#goTo(this.#clock.now() + MINUTE_MS / 4);
      if (requests === this.#network.requests && this.#open.size === 0 && !this.#servers.some(isWaiting)) return;
      if (this.#open.size > 0 && this.#clock.now() > endMs - REST_MS_MAX + REQUEST_MS_MAX) {
        for (const said of this.#open.values()) this.problems.push(`Never answered: ${said}`);
        this.#open.clear();
      }
    }
    this.problems.push(`No rest: ${this.#servers.filter(isWaiting).map(({ name }) => name)} still wait.`);
  }

  async #compare(): Promise<void> {
    const held: Held[] = [];
    for (const [index, server] of this.#servers.entries()) {
      const path = `/v3/rooms/${this.#room}/state`;
      const reply = await this.#drive(server.asUser('a', 'GET', path));
      if (reply?.status !== 200) {
        this.problems.push(`${server.name} tells no state: ${JSON.stringify(reply)}`);
        continue;
      }
      // This answer is a list.
      const state = reply.body as unknown as { type: string; state_key: string; event_id: string }[];
      held.push({
        server: nameOf(index),
        state: new Map(state.map(({ type, state_key, event_id }) => [`${type} "${state_key}"`, event_id])),
        events: this.#eventsAt(server),
      });
    }
    this.#events = new Set(held.flatMap(({ events }) => [...events.keys()])).size;
    this.problems.push(...listDifferences(held, this.#acknowledged));
  }

  /** Goes on until work is done. */
  async #drive<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = (): void => {
      isDone = true;
      this.#activity.note();
    };
    work.then(done, done);
    const endMs = this.#clock.now() + REQUEST_MS_MAX;
    for (;;) {
      await this.#activity.settled();
      if (isDone) return work;
      if (!this.#clock.step(endMs)) throw new Error('Something is never done.');
    }
  }

  /** Goes on up to a time. */
  async #goTo(untilMs: number): Promise<void> {
    await this.#activity.settled();
    while (this.#clock.step(untilMs)) await this.#activity.settled();
  }

  #time(): string {
    return `${((this.#clock.now() - START_MS) / 1000).toFixed(3)} s`;
  }

  /** Gives the line's number. */
  #say(text: string): number {
    return this.#log.push(`${this.#time()} ${text}`) - 1;
  }
}

const nameOf = (server: number): string => `s${server}.sim`;
const userIdOf = ({ server, localpart }: Person): string => `@${localpart}:${nameOf(server)}`;
const wireName = ([from, to]: readonly [number, number]): string => `${from}→${to}`;

/** Whether a server knows of something that it owes another one, or that it wants to try again. */
function isWaiting({ disk }: SimServer): boolean {
  const [row] = disk.read<{ count: number }>(
    'select (select count(*) from lagging_destinations) + (select count(*) from staged_events) as count',
  );
  return row!.count > 0;
}
