import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilter, compileRoomEventFilter } from './filter.ts';

const event = { type: 'm.room.message', sender: '@a:a', content: {} };
const refusal = (errcode: string, text: RegExp) => (error: unknown) => {
  assert.equal((error as { errcode: string }).errcode, errcode);
  assert.match((error as Error).message, text);
  return true;
};

test('an empty filter lets everything through', () => {
  const filter = compileFilter({});

  assert.equal(filter.eventFormat, 'client');
  assert.equal(filter.project, null);
  assert.equal(filter.room.includeLeave, false);
  assert.equal(filter.room.timeline.isEverything, true);
  assert.equal(filter.room.timeline.allows(event), true);
  assert.equal(filter.room.timeline.limit, null);
});

test('types may hold stars, and what is excluded stays out', () => {
  const filter = compileRoomEventFilter({ types: ['m.room.*', 'a*b*c'], not_types: ['m.room.member', '*.topic'] });

  assert.deepEqual(
    ['m.room.name', 'm.room.member', 'm.room.topic', 'm.reaction', 'abc', 'aXbYc', 'ab', 'm.room?'].map((type) =>
      filter.allowsType(type),
    ),
    [true, false, false, false, true, true, false, false],
  );
  assert.equal(compileRoomEventFilter({ types: ['aba*ba'] }).allowsType('aba'), false, 'parts do not overlap');
});

test('an empty list lets nothing through', () => {
  assert.equal(compileRoomEventFilter({ types: [] }).isNothing, true);
  assert.equal(compileRoomEventFilter({ senders: [] }).allows(event), false);
  assert.equal(compileRoomEventFilter({ not_types: ['*'] }).isNothing, true);
  assert.equal(compileRoomEventFilter({ not_types: [] }).isEverything, true);
});

test('senders, rooms and URLs are told apart', () => {
  const filter = compileRoomEventFilter({
    not_senders: ['@spam:a'],
    rooms: ['!a:a', '!b:a'],
    not_rooms: ['!b:a'],
    contains_url: true,
  });

  assert.equal(filter.allows(event), false);
  assert.equal(filter.allows({ ...event, content: { url: 'mxc://a/b' } }), true);
  assert.equal(filter.allows({ ...event, sender: '@spam:a', content: { url: 'x' } }), false);
  assert.deepEqual(
    ['!a:a', '!b:a', '!c:a'].map((roomId) => filter.allowsRoom(roomId)),
    [true, false, false],
  );
  assert.equal(compileRoomEventFilter({ contains_url: false }).allows({ ...event, content: { url: 'x' } }), false);
});

test('fields are cut to what was asked, along escaped paths', () => {
  const { project } = compileFilter({
    event_fields: ['type', 'content.body', 'content.m\\.x.y', 'content.body.z', '__proto__.x'],
  });

  const cut = project?.({ type: 't', sender: 's', content: { body: { z: 1, w: 2 }, 'm.x': { y: 1, z: 2 }, more: 1 } });

  assert.deepEqual(JSON.parse(JSON.stringify(cut)), { type: 't', content: { body: { z: 1, w: 2 }, 'm.x': { y: 1 } } });
});

test('a wrong type is bad JSON, and the answer names the field', () => {
  assert.throws(() => compileFilter([]), refusal('M_BAD_JSON', /filter/));
  assert.throws(
    () => compileFilter({ room: { timeline: { types: 'x' } } }),
    refusal('M_BAD_JSON', /room\.timeline\.types/),
  );
  assert.throws(() => compileFilter({ presence: { senders: [1] } }), refusal('M_BAD_JSON', /presence\.senders/));
  assert.throws(() => compileFilter({ room: { include_leave: 'yes' } }), refusal('M_BAD_JSON', /room\.include_leave/));
  assert.throws(() => compileFilter({ room: { state: { limit: 1.5 } } }), refusal('M_BAD_JSON', /room\.state\.limit/));
  assert.throws(() => compileFilter({ room: null }), refusal('M_BAD_JSON', /room/));
});

test('a room or sender that is no identifier is an invalid parameter', () => {
  const timeline = (part: object) => () => compileFilter({ room: { timeline: part } });

  assert.throws(timeline({ rooms: ['not_a_room_id'] }), refusal('M_INVALID_PARAM', /room\.timeline\.rooms/));
  assert.throws(timeline({ not_rooms: ['#alias:a'] }), refusal('M_INVALID_PARAM', /room\.timeline\.not_rooms/));
  assert.throws(timeline({ senders: ['not_a_sender_id'] }), refusal('M_INVALID_PARAM', /room\.timeline\.senders/));
  assert.throws(() => compileFilter({ room: { rooms: ['x'] } }), refusal('M_INVALID_PARAM', /room\.rooms/));
});

test('a value out of bounds is an invalid parameter', () => {
  assert.throws(() => compileFilter({ event_format: 'xml' }), refusal('M_INVALID_PARAM', /event_format/));
  assert.throws(() => compileFilter({ room: { state: { limit: -1 } } }), refusal('M_INVALID_PARAM', /limit/));
  assert.throws(
    () => compileFilter({ account_data: { types: Array(5001).fill('x') } }),
    refusal('M_INVALID_PARAM', /account_data\.types/),
  );
  assert.throws(
    () => compileFilter({ account_data: { types: Array(101).fill('x*') } }),
    refusal('M_INVALID_PARAM', /\*/),
  );
  assert.throws(() => compileFilter({ event_fields: ['a.'.repeat(30)] }), refusal('M_INVALID_PARAM', /event_fields/));
});

test('lazy loading and thread counts are read from where they are asked for', () => {
  const { room } = compileFilter({
    room: {
      state: { lazy_load_members: true, include_redundant_members: true },
      timeline: { unread_thread_notifications: true, limit: 5, related_by_rel_types: ['m.thread'] },
    },
  });

  assert.deepEqual([room.state.lazyLoadMembers, room.state.includeRedundantMembers], [true, true]);
  assert.deepEqual([room.timeline.unreadThreadNotifications, room.timeline.limit], [true, 5]);
  assert.deepEqual(room.timeline.relatedBy, { relTypes: ['m.thread'], senders: null });
  assert.equal(room.state.relatedBy, null);
});

test('events are chosen by what they relate to', () => {
  const thread = {
    type: 'm.room.message',
    sender: '@a:b',
    content: { 'm.relates_to': { rel_type: 'm.thread', event_id: '$a:b' } },
  };
  const plain = { type: 'm.room.message', sender: '@a:b', content: {} };
  const allowed = (body: object) => {
    const filter = compileRoomEventFilter(body);
    assert.equal(filter.isEverything, false);
    return [filter.allows(thread), filter.allows(plain)];
  };

  assert.deepEqual(allowed({ 'org.matrix.msc3874.rel_types': ['m.thread'] }), [true, false]);
  assert.deepEqual(allowed({ 'org.matrix.msc3874.rel_types': ['m.replace'] }), [false, false]);
  assert.deepEqual(allowed({ 'org.matrix.msc3874.not_rel_types': ['m.thread'] }), [false, true]);
  assert.equal(compileRoomEventFilter({ 'org.matrix.msc3874.not_rel_types': [] }).isEverything, true);
  assert.equal(compileRoomEventFilter({ related_by_rel_types: [] }).isNothing, true);
});
