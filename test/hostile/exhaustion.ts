/** Section C: graphs and histories that want to cost more than they bring. */
import assert from 'node:assert/strict';
import type { JsonObject } from '../../src/core/json-value.ts';
import { sql } from '../../src/storage/sql.ts';
import type { RemoteEvent } from '../../src/testing/remote-server.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestRoom } from '../../src/testing/test-client.ts';
import { make } from '../support/handshakes.ts';
import type { PlayedRoom } from '../support/played-room.ts';
import type { Attack, Scene } from './attack.ts';
import { batches, saidIn, stateOf } from './wire.ts';

/** A room in which the evil user may do what Alice may. */
async function openRoom(scene: Scene): Promise<{ readonly room: TestRoom; readonly played: PlayedRoom }> {
  const { alice, evil } = scene;
  const users = { [alice.userId]: 100, [evil.userId('bob')]: 100 };
  return scene.room({ content: { power_level_content_override: { users } } });
}

/** All of it is taken, fifty at a time; honest events go on in the middle. */
async function pushAll(scene: Scene, played: PlayedRoom, events: readonly RemoteEvent[]): Promise<void> {
  for (const batch of batches(events, 50)) {
    const pushing = played.push(batch);
    await scene.meanwhile();
    assert.deepEqual(
      scene.verdicts(await pushing),
      Object.fromEntries(batch.map(({ eventId }) => [eventId, {}])),
      'all of them keep the rules',
    );
  }
}

/** Auth chains of many short pieces with deep links. */
async function deepAuthChains(scene: Scene): Promise<string> {
  const { room, played } = await openRoom(scene);
  const levels = (await stateOf(scene.alice, room, 'm.room.power_levels'))!;
  const before = await scene.count(sql`select coalesce(sum(length(entry)), 0) as count from auth_index`);
  const events: RemoteEvent[] = [];
  for (let step = 0; step < 100; step++) {
    events.push(
      played.build({ type: 'm.room.power_levels', stateKey: '', content: { ...levels, ban: step } }),
      played.build({
        type: 'm.room.member',
        stateKey: played.bob,
        content: { membership: 'join', displayname: `${step}` },
      }),
    );
  }

  await pushAll(scene, played, events);

  const bytes = (await scene.count(sql`select coalesce(sum(length(entry)), 0) as count from auth_index`)) - before;
  assert.ok(bytes / events.length < 200, `${bytes} bytes for ${events.length} events`);
  await scene.assertUsable(room);
  return `${events.length} events, each on top of the others' auth chains: ${Math.round(bytes / events.length)} bytes of index each`;
}

/** Branches in conflict about everything, joined twenty at a time, again and again. */
async function stateBomb(scene: Scene): Promise<string> {
  const { room, played } = await openRoom(scene);
  const names = Array.from({ length: 20 }, (_, n) => scene.evil.userId(`bomb${n}`));
  const joins = names.map((sender) =>
    played.build({ type: 'm.room.member', sender, stateKey: sender, content: { membership: 'join' } }),
  );
  await pushAll(scene, played, joins);
  const levels = (await stateOf(scene.alice, room, 'm.room.power_levels'))!;
  const before = await scene.count(sql`select count(*) as count from state_snapshots`);
  let sent = 0;
  for (let round = 0; round < 5; round++) {
    const { tips } = played;
    const state = new Map(played.state);
    const branches = names.map((sender, n) => {
      for (const [key, eventId] of state) played.state.set(key, eventId);
      const content: JsonObject = { membership: 'join', displayname: `${round} ${n}` };
      const member = { type: 'm.room.member', sender, stateKey: sender, content, prevEvents: tips };
      const power = { type: 'm.room.power_levels', stateKey: '', content: { ...levels, ban: n + 1 }, prevEvents: tips };
      return played.build(n % 2 === 0 ? power : member);
    });
    for (const [key, eventId] of state) played.state.set(key, eventId);
    const joined = played.say('all of them', { prevEvents: branches.map(({ eventId }) => eventId) });
    await pushAll(scene, played, [...branches, joined]);
    sent += branches.length + 1;
    await scene.meanwhile();
    await played.look(scene.alice);
  }

  const snapshots = (await scene.count(sql`select count(*) as count from state_snapshots`)) - before;
  assert.ok(snapshots <= 2 * sent + 50, `${snapshots} snapshots for ${sent} events`);
  await scene.assertUsable(room);
  return `${sent} events on branches in conflict: ${snapshots} snapshots, answered each time`;
}

/** Events on stale ones, so that tips pile up. */
async function staleTips(scene: Scene): Promise<string> {
  const { room, played } = await scene.room();
  const { tips } = played;
  const stale = Array.from({ length: 60 }, (_, n) => played.say(`${n}`, { prevEvents: tips }));
  await pushAll(scene, played, stale);
  const gauge: string = (await scene.server.get('/_synapse/metrics')).body;
  assert.match(gauge, /myelin_forward_extremities\{[^}]*\} \d/);
  const widths: number[] = [];
  for (let n = 0; n < 5; n++) {
    const template = succeeded(await make(scene.evil, 'join', room.id, scene.evil.userId('carol'))).event;
    widths.push(template.prev_events.length);
    await scene.alice.say(room, `joining ${n}`);
  }
  assert.ok(widths.every((width) => width <= 20));
  assert.equal(widths.at(-1), 1, widths.join(' '));
  await scene.assertUsable(room);
  return `60 tips sent, ${widths[0]} left when a template is asked for: the room joins them itself; a gauge counts them`;
}

/** Each event points at twenty that are missing, and whatever is told at twenty more. */
async function missingWithoutEnd(scene: Scene): Promise<string> {
  const { evil } = scene;
  const { room, played } = await scene.room();
  let told = 0;
  const unknown = (): string[] =>
    Array.from({ length: 20 }, () => played.say(`unknown ${++told}`, { prevEvents: [] }).eventId);
  let isHeld = true;
  evil.route('POST', /get_missing_events/, async () => {
    // In the middle of it: we have been asked, and have not answered.
    if (isHeld) await scene.meanwhile();
    isHeld = false;
    return { json: { events: Array.from({ length: 20 }, () => played.say('more', { prevEvents: unknown() }).json) } };
  });
  evil.route('GET', /state_ids|event_auth|\/event\//, () => ({ status: 404, json: {} }));
  const asked = evil.requests.length;
  const events = Array.from({ length: 10 }, (_, n) => played.say(`${n}`, { prevEvents: unknown() }));

  const verdicts = scene.verdicts(await played.push(events));

  assert.ok(Object.values(verdicts).every(({ error }) => error !== undefined));
  const requests = evil.requests.length - asked;
  assert.ok(requests < 80, `${requests} requests`);
  assert.equal(await scene.storedCount(events.map(({ eventId }) => eventId)), 0);
  assert.deepEqual(await saidIn(scene, room), []);
  await scene.assertUsable(room);
  return `10 events, ${requests} requests of ours, then refused; nothing stored`;
}

/** A history of which nothing may be seen: soft-failed events of a user whose server is still in the room. */
async function invisibleHistory(scene: Scene): Promise<string> {
  const { alice } = scene;
  const { room, played } = await scene.room();
  const carol = scene.evil.userId('carol');
  const first = await alice.say(room, 'the first word');
  await scene.meanwhile();
  await played.look(alice);
  await pushAll(scene, played, [
    played.build({ type: 'm.room.member', sender: carol, stateKey: carol, content: { membership: 'join' } }),
  ]);
  const { tips } = played;
  succeeded(await alice.put(roomPath(room, 'state', 'm.room.member', played.bob), { membership: 'ban' }));
  const since = (await alice.sync()).next_batch;
  const hidden = Array.from({ length: 400 }, (_, n) => played.say(`hidden ${n}`, { prevEvents: tips }));
  await pushAll(scene, played, hidden);
  const last = await alice.say(room, 'the last word');
  await scene.meanwhile();

  const seen: string[] = [];
  let pages = 0;
  for (let from: string | undefined; ; ) {
    const query = from === undefined ? {} : { from };
    const page = succeeded(await alice.get(roomPath(room, 'messages'), { dir: 'b', limit: 10, ...query }));
    seen.push(...page.chunk.map((event: { event_id: string }) => event.event_id));
    pages++;
    if (page.end === undefined) break;
    assert.notEqual(page.end, from, 'each page leads on');
    from = page.end;
  }
  const timeline = (await alice.sync(since)).rooms.join[room.id].timeline.events;

  assert.equal(seen[0], last);
  assert.ok(seen.includes(first));
  assert.ok(!hidden.some(({ eventId }) => seen.includes(eventId)));
  assert.ok(pages < 20, `${pages} pages`);
  assert.deepEqual(
    timeline.map((event: { event_id: string }) => event.event_id),
    [last],
  );
  await scene.assertUsable(room);
  return `${hidden.length} events that nobody may see: the whole history in ${pages} pages, none of them shown`;
}

/** Hundreds who join and leave, and one key of state that changes all the time. */
async function restlessState(scene: Scene): Promise<string> {
  const { room, played } = await openRoom(scene);
  const bytesOf = () => scene.count(sql`select coalesce(sum(length(nodes)), 0) as count from state_snapshots`);
  const before = await bytesOf();
  const users = Array.from({ length: 200 }, (_, n) => scene.evil.userId(`crowd${n}`));
  const member = (sender: string, membership: string) =>
    played.build({ type: 'm.room.member', sender, stateKey: sender, content: { membership } });
  const joins = users.map((user) => member(user, 'join'));
  const changes = Array.from({ length: 100 }, (_, n) =>
    played.build({ type: 'org.example.clock', stateKey: '', content: { n } }),
  );
  const leaves = users.map((user) => member(user, 'leave'));
  const all = [...joins, ...changes, ...leaves];

  await pushAll(scene, played, all);

  const bytes = (await bytesOf()) - before;
  const eventBytes = all.reduce((sum, { json }) => sum + JSON.stringify(json).length, 0);
  assert.ok(bytes < 3 * eventBytes, `${bytes} bytes of snapshots for ${eventBytes} bytes of events`);
  await scene.assertUsable(room);
  return `${all.length} changes: ${Math.round(bytes / all.length)} bytes of state each, the events have ${Math.round(eventBytes / all.length)}`;
}

/** A bad event among good ones, another body under the same ID, the same transaction again and again. */
async function mixedTransactions(scene: Scene): Promise<string> {
  const { evil } = scene;
  const { room, played } = await scene.room();
  const good = Array.from({ length: 10 }, (_, n) => played.say(`good ${n}`));
  const bad = { ...played.say('bad').json, signatures: {} };
  const poison = [null, 7, 'text', [], {}, { room_id: room.id }, { ...good[0]!.json, depth: 'deep' }];
  const pushing = played.push([...good.slice(0, 5), ...poison, bad, ...good.slice(5)], { txnId: 'mixed' });
  await scene.meanwhile();
  const reply = await pushing;
  const asked = evil.requests.length;
  const again = [];
  for (let n = 0; n < 20; n++) again.push(await played.push([...good, bad], { txnId: 'again' }));
  const other = played.say('another body', { prevEvents: [good.at(-1)!.eventId] });
  const sameId = scene.verdicts(await played.push([other], { txnId: 'again' }));

  const verdicts = scene.verdicts(reply);
  for (const { eventId } of good) assert.deepEqual(verdicts[eventId], {});
  const answers = new Set(again.map(({ body }) => JSON.stringify(body)));
  assert.equal(answers.size, 1, 'the first answer, each time');
  assert.deepEqual(sameId, { [other.eventId]: {} });
  assert.ok(evil.requests.length - asked <= 2);
  assert.deepEqual(await saidIn(scene, room), [...good.map((_, n) => `good ${n}`), 'another body']);
  await scene.assertUsable(room);
  return '200 with a verdict each, none of the good ones lost; repeated 20 times the first answer; another body under the ID is taken';
}

export const EXHAUSTION_ATTACKS: readonly Attack[] = [
  {
    line: 'C1',
    name: 'auth chains with deep links',
    run: deepAuthChains,
    isSilent: 'each event keeps the rules; what it costs is bounded',
  },
  { line: 'C2', name: 'state resolution bombs', run: stateBomb, isSilent: 'each event keeps the rules' },
  { line: 'C3', name: 'tips that pile up', run: staleTips, isSilent: 'a gauge tells of them' },
  { line: 'C4', name: 'missing events without end', run: missingWithoutEnd },
  { line: 'C6', name: 'bad events in good transactions', run: mixedTransactions },
  {
    line: 'C8',
    name: 'a history of which nothing may be seen',
    run: invisibleHistory,
    isSilent: 'soft-failed events are taken in',
  },
  { line: 'C9', name: 'a restless state', run: restlessState, isSilent: 'each event keeps the rules' },
];
