/** A space and its children, as other servers may know of them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { memberDraft, sendRemotely } from '../../../test/support/remote-member.ts';
import { handClock } from '../../kit/clock.ts';
import { stateDraft } from '../../testing/engine.ts';
import { remoteServer } from '../../testing/remote-server.ts';
import type { TestRoom } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const id = encodeURIComponent;

forEachDatabase((database) => {
  async function scene(t: TestContext) {
    const server = await testServer(t, { database, clock: handClock() });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const make = (name: string, more: object = {}) => alice.createRoom({ room_version: '11', name, ...more });
    const isSpace = { creation_content: { type: 'm.space' } };
    const space = await make('Space', { preset: 'public_chat', ...isSpace });
    const add = (room: TestRoom | string, content: object = {}) =>
      alice.setState(
        space,
        'm.space.child',
        { via: ['myelin.test'], ...content },
        typeof room === 'string' ? room : room.id,
      );
    const ask = (room: TestRoom, query = '') =>
      remote.signedRequest('GET', `/_matrix/federation/v1/hierarchy/${id(room.id)}${query}`);
    return { server, remote, alice, make, isSpace, space, add, ask };
  }

  const named = (children: { name: string }[]) => children.map(({ name }) => name).sort();

  test('a space comes with its children, which are told of where one could come in, and else by ID', async (t) => {
    const { make, space, add, ask, isSpace } = await scene(t);
    const open = await make('Open', { preset: 'public_chat' });
    const inner = await make('Inner', { preset: 'public_chat', ...isSpace });
    const closed = await make('Closed', { preset: 'private_chat' });
    const ours = await make('Ours', { preset: 'public_chat', creation_content: { 'm.federate': false } });
    for (const room of [open, inner, closed, ours]) await add(room);
    await add('!elsewhere:third.test');
    await add('no room at all');

    const { status, body } = await ask(space);

    assert.equal(status, 200);
    assert.deepEqual([body.room.name, body.room.room_type, body.room.children_state.length], ['Space', 'm.space', 6]);
    assert.deepEqual(named(body.children), ['Inner', 'Open']);
    for (const child of body.children) assert.equal('children_state' in child, false);
    assert.deepEqual(body.inaccessible_children.sort(), [closed.id, ours.id].sort());
  });

  test('only suggested children come where only these are asked for', async (t) => {
    const { make, space, add, ask } = await scene(t);
    const [one, other] = [await make('One', { preset: 'public_chat' }), await make('Other', { preset: 'public_chat' })];
    await add(one, { suggested: true });
    await add(other);

    const { body } = await ask(space, '?suggested_only=true');

    assert.deepEqual([named(body.children), body.room.children_state.length], [['One'], 1]);
    assert.deepEqual(named((await ask(space, '?suggested_only=false')).body.children), ['One', 'Other']);
  });

  test('a closed room is told of to servers of its members and invited users', async (t) => {
    const { server, remote, alice, make, ask } = await scene(t);
    const room = await make('Closed', { preset: 'private_chat' });
    const bob = remote.userId('bob');
    const status = async () => (await ask(room)).status;
    const invite = stateDraft(alice.userId as typeof bob, 'm.room.member', bob, { membership: 'invite' });

    assert.deepEqual([await status(), (await ask(room)).body.errcode], [404, 'M_NOT_FOUND']);
    await sendRemotely(server, room.id, [invite]);
    assert.equal(await status(), 200);
    await sendRemotely(server, room.id, [memberDraft(bob, 'join')]);
    assert.equal(await status(), 200);
    await sendRemotely(server, room.id, [memberDraft(bob, 'leave')]);
    assert.equal(await status(), 404);
    assert.equal((await ask({ id: '!none:myelin.test' })).status, 404);
  });

  test('a restricted room is told of to servers that have somebody in a room whose members may join', async (t) => {
    const { server, remote, make, space, ask, add } = await scene(t);
    const allow = [{ type: 'm.room_membership', room_id: space.id }];
    const rules = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow } };
    const room = await make('Restricted', { initial_state: [rules] });
    await add(room);
    assert.deepEqual((await ask(space)).body.inaccessible_children, [room.id]);

    await sendRemotely(server, space.id, [memberDraft(remote.userId('bob'), 'join')]);

    const { body } = await ask(space);
    assert.deepEqual([named(body.children), body.inaccessible_children], [['Restricted'], []]);
    assert.deepEqual(body.children[0].allowed_room_ids, [space.id]);
  });

  test('of a space with many children the first hundred come with their summaries (D13)', async (t) => {
    const { space, make, add, ask } = await scene(t);
    const last = await make('Last', { preset: 'public_chat' });
    for (let n = 0; n < 100; n++) await add(`!none${n}:third.test`, { order: '1' });
    await add(last, { order: '2' });

    const { body } = await ask(space);

    assert.deepEqual([body.room.children_state.length, body.children], [101, []]);
    assert.equal((await ask(last)).body.room.name, 'Last');
  });
});
