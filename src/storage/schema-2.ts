/** What the graph of a room needs beside its events. */
export const SCHEMA_2 = `
-- Where each state event lies in the graph of auth events (core/auth-chain.ts); rejected ones are left out. Within a room
-- the numbers are an order in which auth events come before what rests on them.
create table auth_index (
  room_no integer not null,
  event_no integer not null,
  entry {blob} not null,
  primary key (room_no, event_no)
){rowless};

-- The last event of each chain of that index that has more than one.
create table auth_chains (chain {bigint_key}, tail {blob} not null);

-- The index of a room from before this table is made when it is first needed.
alter table rooms add column is_auth_indexed integer not null default 0;

-- Events before which history is missing: prev_id names a prev event that has no place in the room's graph.
create table backward_extremities (
  room_no integer not null,
  prev_id text not null,
  event_no integer not null,
  primary key (room_no, prev_id, event_no)
){rowless};

-- What an invite into a room that this server is not in, or the answer to a knock, told of the room.
create table stripped_states (
  room_no integer not null,
  user_id text not null,
  state text not null,
  primary key (room_no, user_id)
){rowless};
`;
