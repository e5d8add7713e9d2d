/** What two servers do with each other, one scene a deed. Each is played with either program as the home of the room. */
import assert from 'node:assert/strict';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../src/testing/test-client.ts';
import { encryption } from './encryption-scenes.ts';
import { eventSeen, eventually, historyOf, joinAway, membershipOf, publicRoom, type Scene, stateOf } from './scene.ts';
import { newUser } from './side.ts';

type Json = ReturnType<typeof JSON.parse>;

const WITH_KNOCK = ['10', '11', '12'];

const bothWays = (one: TestUser, other: TestUser) =>
  [
    [one, other],
    [other, one],
  ] as const;

async function setLevels(user: TestUser, room: TestRoom, change: (levels: Json) => void): Promise<void> {
  const levels = await stateOf(user, room, 'm.room.power_levels');
  change(levels);
  await user.setState(room, 'm.room.power_levels', levels);
}

/** Syncs until something is found in an answer; filters nothing. */
async function untilSync<T>(what: string, user: TestUser, find: (sync: Json) => T | null | undefined): Promise<T> {
  let since: string | undefined;
  return eventually(what, async () => {
    const sync: Json = await user.sync(since, since === undefined ? {} : { timeout: 1000 });
    since = sync.next_batch;
    return find(sync);
  });
}

async function gone(what: string, user: TestUser, room: TestRoom): Promise<void> {
  await eventually(what, async () => {
    const { joined_rooms: joined } = succeeded(await user.get('/v3/joined_rooms'));
    return !joined.includes(room.id);
  });
}

const invites: readonly Scene[] = [
  {
    name: 'invite, seen with the name of the room, and join',
    async play({ alice, bob, roomVersion }) {
      const room = await alice.createRoom({ preset: 'private_chat', name: 'Garden', room_version: roomVersion });
      await alice.invite(room, bob);
      const invite = await untilSync('the invite comes', bob, (sync) => sync.rooms?.invite?.[room.id]);
      const name = invite.invite_state.events.find((event: Json) => event.type === 'm.room.name');
      assert.equal(name?.content.name, 'Garden');
      await bob.join(room);
      await eventually('the join comes back', async () => (await membershipOf(alice, room, bob)) === 'join');
      await eventSeen(bob, room, await alice.say(room, 'welcome'));
    },
  },
  {
    name: 'invite and refusal',
    async play({ alice, bob, roomVersion }) {
      const room = await alice.createRoom({ preset: 'private_chat', room_version: roomVersion });
      await alice.invite(room, bob);
      await untilSync('the invite comes', bob, (sync) => sync.rooms?.invite?.[room.id]);
      await bob.leave(room);
      await eventually('the refusal comes back', async () => (await membershipOf(alice, room, bob)) === 'leave');
    },
  },
  {
    name: 'invite taken back',
    once: true,
    // Synapse takes the event, and goes on showing the invite: with its own kind at home as well.
    away: 'Myelin',
    async play({ alice, bob, roomVersion }) {
      const room = await alice.createRoom({ preset: 'private_chat', room_version: roomVersion });
      await alice.invite(room, bob);
      await untilSync('the invite comes', bob, (sync) => sync.rooms?.invite?.[room.id]);
      succeeded(await alice.post(roomPath(room, 'kick'), { user_id: bob.userId }));
      await eventually('the invite goes', async () => {
        const { rooms } = await bob.sync();
        return rooms?.invite?.[room.id] === undefined;
      });
    },
  },
];

const joins: readonly Scene[] = [
  {
    name: 'join by alias',
    async play({ alice, bob, roomVersion, home, away, ...rest }) {
      const room = await publicRoom({ alice, bob, roomVersion, home, away, ...rest });
      succeeded(await bob.post(`/v3/join/${encodeURIComponent(room.alias)}`));
      await eventually('both know the join', async () => (await membershipOf(alice, room, bob)) === 'join');
      assert.equal(await membershipOf(bob, room, alice), 'join');
    },
  },
  {
    name: 'knock, invite and join',
    versions: WITH_KNOCK,
    async play({ alice, bob, roomVersion, home }) {
      const rules = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } };
      const room = await alice.createRoom({
        preset: 'private_chat',
        name: 'Behind a door',
        room_version: roomVersion,
        initial_state: [rules],
      });
      succeeded(
        await bob.post(`/v3/knock/${encodeURIComponent(room.id)}?server_name=${home.serverName}`, { reason: 'hello' }),
      );
      await eventually('the knock comes', async () => (await membershipOf(alice, room, bob)) === 'knock');
      await untilSync('the knock shows', bob, (sync) => sync.rooms?.knock?.[room.id]);
      await alice.invite(room, bob);
      await untilSync('the invite comes', bob, (sync) => sync.rooms?.invite?.[room.id]);
      await bob.join(room);
      await eventually('the join comes', async () => (await membershipOf(alice, room, bob)) === 'join');
    },
  },
  {
    name: 'knock taken back',
    versions: WITH_KNOCK,
    once: true,
    // Synapse takes a knock on another server back on its own side alone.
    away: 'Myelin',
    async play({ alice, bob, roomVersion, home }) {
      const rules = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } };
      const room = await alice.createRoom({
        preset: 'private_chat',
        room_version: roomVersion,
        initial_state: [rules],
      });
      succeeded(await bob.post(`/v3/knock/${encodeURIComponent(room.id)}?server_name=${home.serverName}`));
      await eventually('the knock comes', async () => (await membershipOf(alice, room, bob)) === 'knock');
      await bob.leave(room);
      await eventually('the knock goes', async () => (await membershipOf(alice, room, bob)) === 'leave');
    },
  },
  {
    name: 'restricted join, vouched for by the home server',
    versions: WITH_KNOCK,
    async play(stage) {
      const { alice, bob, roomVersion } = stage;
      const space = await publicRoom(stage, { creation_content: { type: 'm.space' } });
      const allow = [{ type: 'm.room_membership', room_id: space.id }];
      const rules = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow } };
      const room = await alice.createRoom({
        preset: 'private_chat',
        room_version: roomVersion,
        initial_state: [rules],
      });
      const refused = await bob.post(`/v3/join/${encodeURIComponent(room.id)}?server_name=${stage.home.serverName}`);
      assert.equal(refused.status, 403, JSON.stringify(refused.body));
      await joinAway(stage, space);
      await joinAway(stage, room);
      const member = await stateOf(alice, room, 'm.room.member', bob.userId);
      assert.equal(member.join_authorised_via_users_server, alice.userId);
    },
  },
  {
    name: 'restricted join, vouched for by a third server since the home server cannot',
    versions: WITH_KNOCK.slice(-1),
    async play(stage) {
      const { alice, bob, home } = stage;
      const third = await stage.third();
      const [dave, carol] = [await newUser(home, 'dave'), await newUser(third, 'carol')];
      const space = await publicRoom(stage, { creation_content: { type: 'm.space' } });
      const room = await publicRoom(stage);
      await dave.join(room.id);
      for (const each of [space, room]) await joinAway({ ...stage, bob: carol }, each);
      await joinAway(stage, space);
      await setLevels(alice, room, (levels) => {
        levels.invite = 50;
        levels.users = { ...levels.users, [carol.userId]: 50 };
      });
      const allow = [{ type: 'm.room_membership', room_id: space.id }];
      await alice.setState(room, 'm.room.join_rules', { join_rule: 'restricted', allow });
      // From here on nobody of the home server may invite.
      await alice.leave(room);
      await eventually('the third server knows', async () => (await membershipOf(carol, room, alice)) === 'leave');
      await eventually('it knows who is in the space', async () => (await membershipOf(carol, space, bob)) === 'join');
      const via = [home, third].map(({ serverName }) => `server_name=${serverName}`).join('&');
      succeeded(await bob.post(`/v3/join/${encodeURIComponent(room.id)}?${via}`));
      await eventually('both know the join', async () => {
        const seen = await Promise.all([dave, carol].map((user) => stateOf(user, room, 'm.room.member', bob.userId)));
        return seen.every((member) => member?.join_authorised_via_users_server === carol.userId);
      });
      await eventSeen(dave, room, await bob.say(room, 'through another door'));
    },
  },
  {
    name: 'leave and come again',
    async play(stage) {
      const { alice, bob } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      await bob.leave(room);
      await eventually('the leave comes', async () => (await membershipOf(alice, room, bob)) === 'leave');
      await alice.say(room, 'while nobody is there');
      await joinAway(stage, room);
      await eventSeen(bob, room, await alice.say(room, 'again'));
    },
  },
];

const talking: readonly Scene[] = [
  {
    name: 'messages and state both ways',
    async play(stage) {
      const { alice, bob } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      await eventSeen(bob, room, await alice.say(room, 'from home'));
      await eventSeen(alice, room, await bob.say(room, 'from away'));
      await setLevels(alice, room, (levels) => {
        levels.users = { ...levels.users, [bob.userId]: 50 };
      });
      await eventually(
        'the levels come',
        async () => (await stateOf(bob, room, 'm.room.power_levels'))?.users?.[bob.userId] === 50,
      );
      await bob.setState(room, 'm.room.topic', { topic: 'by Bob' });
      await alice.setState(room, 'm.room.name', { name: 'by Alice' });
      await eventually('the topic comes', async () => (await stateOf(alice, room, 'm.room.topic'))?.topic === 'by Bob');
      await eventually('the name comes', async () => (await stateOf(bob, room, 'm.room.name'))?.name === 'by Alice');
    },
  },
  {
    name: 'history from before the join',
    async play(stage) {
      const { alice, bob } = stage;
      const room = await publicRoom(stage);
      const said = Array.from({ length: 30 }, (_, index) => `message ${index}`);
      for (const body of said) await alice.say(room, body);
      await joinAway(stage, room);
      await eventually('all of it can be paged through', async () => {
        const bodies = await historyOf(bob, room);
        return said.every((body) => bodies.includes(body));
      });
    },
  },
  {
    name: 'redaction both ways',
    async play(stage) {
      const { alice, bob } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      for (const [from, to] of bothWays(alice, bob)) {
        const eventId = await from.say(room, 'a slip');
        await eventSeen(to, room, eventId);
        succeeded(await from.put(roomPath(room, 'redact', eventId, from.transactionId()), { reason: 'oops' }));
        await eventually('the content goes', async () => {
          const { content } = succeeded(await to.get(roomPath(room, 'event', eventId)));
          return content.body === undefined;
        });
      }
    },
  },
  {
    name: 'reactions and edits',
    once: true,
    async play(stage) {
      const { alice, bob } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      const eventId = await alice.say(room, 'teh');
      await eventSeen(bob, room, eventId);
      const relates = { 'm.relates_to': { rel_type: 'm.annotation', event_id: eventId, key: '+' } };
      await eventSeen(alice, room, await bob.send(room, 'm.reaction', relates));
      const edit = {
        msgtype: 'm.text',
        body: '* the',
        'm.new_content': { msgtype: 'm.text', body: 'the' },
        'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
      };
      await eventSeen(bob, room, await alice.send(room, 'm.room.message', edit));
      const { unsigned } = succeeded(await bob.get(roomPath(room, 'event', eventId)));
      assert.equal(unsigned['m.relations']['m.replace'].content['m.new_content'].body, 'the');
    },
  },
];

const presences: readonly Scene[] = [
  {
    name: 'typing, receipts and presence both ways',
    once: true,
    async play(stage) {
      const { alice, bob } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      for (const [from, to] of bothWays(alice, bob)) {
        const eventId = await to.say(room, 'read me');
        await eventSeen(from, room, eventId);
        succeeded(await from.put(roomPath(room, 'typing', from.userId), { typing: true, timeout: 20_000 }));
        succeeded(await from.post(roomPath(room, 'receipt', 'm.read', eventId)));
        succeeded(
          await from.put(`/v3/presence/${encodeURIComponent(from.userId)}/status`, {
            presence: 'online',
            status_msg: `here ${from.userId}`,
          }),
        );
        const seen = new Set<string>();
        await untilSync(`typing, receipt and presence of ${from.userId} come`, to, (sync) => {
          for (const event of sync.rooms?.join?.[room.id]?.ephemeral?.events ?? []) {
            if (event.type === 'm.typing' && event.content.user_ids.includes(from.userId)) seen.add('typing');
            if (event.type === 'm.receipt' && event.content[eventId]?.['m.read']?.[from.userId]) seen.add('receipt');
          }
          for (const event of sync.presence?.events ?? []) {
            if (event.sender === from.userId && event.content.status_msg === `here ${from.userId}`)
              seen.add('presence');
          }
          return seen.size === 3 ? true : null;
        });
      }
    },
  },
  {
    name: 'profile asked for, and changed in a shared room',
    once: true,
    async play(stage) {
      const { alice, bob } = stage;
      const name = (user: TestUser, displayname: string) =>
        user.put(`/v3/profile/${encodeURIComponent(user.userId)}/displayname`, { displayname });
      succeeded(await name(alice, 'Alice'));
      const profile = await eventually('the profile is told', async () => {
        const reply = await bob.get(`/v3/profile/${encodeURIComponent(alice.userId)}`);
        return reply.status === 200 ? reply.body : null;
      });
      assert.equal(profile.displayname, 'Alice');
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      succeeded(await name(bob, 'Bobby'));
      await eventually('the new name comes', async () => {
        return (await stateOf(alice, room, 'm.room.member', bob.userId))?.displayname === 'Bobby';
      });
    },
  },
];

const directory: readonly Scene[] = [
  {
    name: 'alias and public rooms of the other server',
    once: true,
    async play(stage) {
      const { alice, bob, home } = stage;
      const room = await publicRoom(stage, { visibility: 'public', name: `Listed ${alice.userId}` });
      const alias = succeeded(await bob.get(`/v3/directory/room/${encodeURIComponent(room.alias)}`));
      assert.equal(alias.room_id, room.id);
      assert.ok(alias.servers.includes(home.serverName));
      await eventually('the list has it', async () => {
        const { chunk } = succeeded(
          await bob.post(
            '/v3/publicRooms',
            { filter: { generic_search_term: alice.userId } },
            { server: home.serverName },
          ),
        );
        return chunk.some((entry: Json) => entry.room_id === room.id);
      });
    },
  },
  {
    name: 'hierarchy of a space of the other server',
    once: true,
    async play(stage) {
      const { alice, bob, home } = stage;
      const child = await publicRoom(stage, { name: 'Child' });
      const space = await publicRoom(stage, { creation_content: { type: 'm.space' } });
      await alice.setState(space, 'm.space.child', { via: [home.serverName] }, child.id);
      await joinAway(stage, space);
      await eventually('the child is summarized', async () => {
        const { rooms } = succeeded(await bob.get(`/v1/rooms/${encodeURIComponent(space.id)}/hierarchy`));
        return rooms.some((entry: Json) => entry.room_id === child.id && entry.name === 'Child');
      });
    },
  },
  {
    name: 'event nearest to a time before the join',
    once: true,
    async play(stage) {
      const { alice, bob } = stage;
      const room = await publicRoom(stage);
      const eventId = await alice.say(room, 'long ago');
      const { origin_server_ts: ts } = succeeded(await alice.get(roomPath(room, 'event', eventId)));
      await joinAway(stage, room);
      const path = `/v1/rooms/${encodeURIComponent(room.id)}/timestamp_to_event`;
      await eventually('it is found', async () => {
        const reply = await bob.get(path, { ts, dir: 'f' });
        return reply.status === 200 && reply.body.event_id === eventId;
      });
    },
  },
];

const power: readonly Scene[] = [
  {
    name: 'kick, ban and unban',
    async play(stage) {
      const { alice, bob, home } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      succeeded(await alice.post(roomPath(room, 'kick'), { user_id: bob.userId }));
      await gone('the kick comes', bob, room);
      await joinAway(stage, room);
      succeeded(await alice.post(roomPath(room, 'ban'), { user_id: bob.userId }));
      await gone('the ban comes', bob, room);
      const refused = await bob.post(`/v3/join/${encodeURIComponent(room.id)}?server_name=${home.serverName}`);
      assert.equal(refused.status, 403, JSON.stringify(refused.body));
      succeeded(await alice.post(roomPath(room, 'unban'), { user_id: bob.userId }));
      await joinAway(stage, room);
    },
  },
  {
    name: 'server ACL: a shut out server is not heard',
    once: true,
    async play(stage) {
      const { alice, bob, away } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      await eventSeen(alice, room, await bob.say(room, 'before'));
      await alice.setState(room, 'm.room.server_acl', {
        allow: ['*'],
        deny: [away.serverName.replace(/:\d+$/, '')],
        allow_ip_literals: true,
      });
      // ACLs know no ports: both servers of this trial have one name, so the home server's own words end here too.
      const after = await bob.say(room, 'after');
      await bob.say(room, 'after that');
      const open = await publicRoom(stage);
      await joinAway(stage, open);
      await eventSeen(alice, open, await bob.say(open, 'elsewhere'));
      assert.equal((await alice.get(roomPath(room, 'event', after))).status, 404);
    },
  },
];

const trouble: readonly Scene[] = [
  {
    name: 'the away server is killed, and gets what it missed',
    once: true,
    async play(stage) {
      const { alice, bob, away } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      await eventSeen(bob, room, await alice.say(room, 'before'));
      await away.kill();
      const missed: string[] = [];
      for (let index = 0; index < 10; index++) missed.push(await alice.say(room, `missed ${index}`));
      await away.start();
      for (const eventId of missed.slice(-1)) await eventSeen(bob, room, eventId);
      await eventually('all of it can be paged through', async () => {
        const bodies = await historyOf(bob, room);
        return missed.every((_, index) => bodies.includes(`missed ${index}`));
      });
    },
  },
  {
    name: 'banned while the away server was down',
    once: true,
    async play(stage) {
      const { alice, bob, away, home } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      await away.kill();
      succeeded(await alice.post(roomPath(room, 'ban'), { user_id: bob.userId, reason: 'meanwhile' }));
      await away.start();
      await gone('the ban comes', bob, room);
      assert.equal((await bob.put(roomPath(room, 'send', 'm.room.message', bob.transactionId()), {})).status, 403);
      const refused = await bob.post(`/v3/join/${encodeURIComponent(room.id)}?server_name=${home.serverName}`);
      assert.equal(refused.status, 403, JSON.stringify(refused.body));
    },
  },
  {
    name: 'left while the home server was down',
    once: true,
    async play(stage) {
      const { alice, bob, home } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      await home.kill();
      await bob.leave(room);
      await home.start();
      await eventually('the leave comes home', async () => (await membershipOf(alice, room, bob)) === 'leave');
      await joinAway(stage, room);
    },
  },
  {
    name: 'redactions and state while the away server was down',
    once: true,
    async play(stage) {
      const { alice, bob, away } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      const said = await alice.say(room, 'to be taken back');
      await eventSeen(bob, room, said);
      await away.kill();
      succeeded(await alice.put(roomPath(room, 'redact', said, alice.transactionId())));
      await alice.setState(room, 'm.room.topic', { topic: 'meanwhile' });
      await alice.setState(room, 'm.room.topic', { topic: 'at last' });
      await away.start();
      await eventually('the topic comes', async () => (await stateOf(bob, room, 'm.room.topic'))?.topic === 'at last');
      await eventually('it is taken back', async () => {
        const { content } = succeeded(await bob.get(roomPath(room, 'event', said)));
        return Object.keys(content).length === 0;
      });
    },
  },
  {
    name: 'the home server is killed in the middle of a talk',
    once: true,
    async play(stage) {
      const { alice, bob, home } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      const acknowledged: string[] = [];
      for (let index = 0; index < 5; index++) acknowledged.push(await alice.say(room, `home ${index}`));
      await home.kill();
      for (let index = 0; index < 5; index++) await bob.say(room, `away ${index}`);
      await home.start();
      for (const eventId of acknowledged) await eventSeen(bob, room, eventId);
      await eventually('what was said meanwhile comes home', async () => {
        const bodies = await historyOf(alice, room);
        return [0, 1, 2, 3, 4].every((index) => bodies.includes(`away ${index}`) && bodies.includes(`home ${index}`));
      });
    },
  },
  {
    name: 'both speak at once, and agree on the state',
    async play(stage) {
      const { alice, bob } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      await setLevels(alice, room, (levels) => {
        levels.state_default = 0;
      });
      await eventually(
        'the levels come',
        async () => (await stateOf(bob, room, 'm.room.power_levels'))?.state_default === 0,
      );
      await Promise.all(
        [alice, bob].map(async (user) => {
          for (let index = 0; index < 10; index++) {
            await user.setState(room, 'm.room.topic', { topic: `${index} by ${user.userId}` });
          }
        }),
      );
      // One more event of each joins the branches on its server.
      await eventSeen(bob, room, await alice.say(room, 'joined'));
      await eventSeen(alice, room, await bob.say(room, 'joined too'));
      await eventually('both have one topic', async () => {
        const [one, other] = await Promise.all([alice, bob].map((user) => stateOf(user, room, 'm.room.topic')));
        return one.topic === other.topic;
      });
    },
  },
  {
    name: 'a second user of the away server, and one who comes by invite of the first',
    once: true,
    async play(stage) {
      const { alice, bob, away } = stage;
      const room = await publicRoom(stage);
      await joinAway(stage, room);
      const carol = await newUser(away, 'carol');
      await carol.join(room.id);
      await eventually('the second join comes', async () => (await membershipOf(alice, room, carol)) === 'join');
      await bob.leave(room);
      await eventSeen(carol, room, await alice.say(room, 'still there?'));
      await eventSeen(alice, room, await carol.say(room, 'yes'));
    },
  },
];

export const SCENES: readonly Scene[] = [
  ...joins,
  ...invites,
  ...talking,
  ...presences,
  ...encryption,
  ...directory,
  ...power,
  ...trouble,
];
