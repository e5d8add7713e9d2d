/** The first schema. Beside each table stands which index serves its queries. */
export const SCHEMA_1 = `
create table settings (key text primary key, value text not null);

-- How far positions and numbers are given out; a start goes on behind it, so that none is ever given twice.
create table stream_reservations (writer text primary key, reserved integer not null, reserved_backwards integer not null);

create table users (
  user_id text primary key,
  password_hash text,
  created_ms integer not null,
  is_admin integer not null default 0,
  is_guest integer not null default 0,
  is_deactivated integer not null default 0,
  is_erased integer not null default 0,
  is_locked integer not null default 0,
  is_suspended integer not null default 0,
  user_type text,
  appservice_id text
){rowless};
-- Two new accounts never differ in the case of letters alone; imported ones may.
create index users_by_lower on users (lower(user_id));

create table profiles (user_id text primary key, fields text not null){rowless};

create table devices (
  user_id text not null,
  device_id text not null,
  display_name text,
  created_ms integer not null,
  last_seen_ms integer,
  last_seen_ip text,
  last_seen_user_agent text,
  primary key (user_id, device_id)
){rowless};

-- A refresh token stands and falls with the access token that it came with. A pair that replaces_older ends those that
-- its device had before as soon as it is used.
create table access_tokens (
  token_id {bigint_key},
  token_hash text not null unique,
  user_id text not null,
  device_id text,
  created_ms integer not null,
  valid_until_ms integer,
  refresh_hash text unique,
  refresh_until_ms integer,
  replaces_older integer not null default 0
);
create index access_tokens_by_user on access_tokens (user_id, device_id);

create table rooms (
  room_no {bigint_key},
  room_id text not null unique,
  version text not null,
  created_ms integer not null,
  is_published integer not null default 0,
  is_public_hint integer not null default 0
);
create index rooms_published on rooms (room_no) where is_published = 1;

-- Events by number; the room's timeline in the log's order through events_by_position.
create table events (
  event_no {bigint_key},
  room_no integer not null,
  event_id text not null unique,
  position integer,
  depth integer not null,
  standing integer not null default 0,
  snapshot_no integer,
  replaces_no integer,
  redacted_by_no integer,
  reason text,
  sent_as text,
  json text not null
);
create unique index events_by_position on events (room_no, position);

create table forward_extremities (room_no integer not null, event_no integer not null, primary key (room_no, event_no)){rowless};

-- (type, state key) as a small number per room: the leaves of a state snapshot's tree.
create table state_keys (
  room_no integer not null,
  key_no integer not null,
  type text not null,
  state_key text not null,
  primary key (room_no, type, state_key)
){rowless};

-- A row holds the tree nodes that are new in one snapshot.
create table state_snapshots (
  room_no integer not null,
  snapshot_no integer not null,
  nodes {blob} not null,
  primary key (room_no, snapshot_no)
){rowless};

-- Who is what in a room now; by user through memberships_by_user.
create table memberships (
  room_no integer not null,
  user_id text not null,
  membership text not null,
  event_no integer not null,
  position integer not null,
  is_forgotten integer not null default 0,
  primary key (room_no, user_id)
){rowless};
create index memberships_by_user on memberships (user_id, room_no);

-- Each change of a local user's membership, in the log's order.
create table membership_changes (
  user_id text not null,
  position integer not null,
  room_no integer not null,
  membership text not null,
  event_no integer not null,
  primary key (user_id, position)
){rowless};

create table once_keys (
  user_id text not null,
  scope text not null,
  txn_key text not null,
  event_id text not null,
  created_ms integer not null,
  primary key (user_id, scope, txn_key)
){rowless};

create table redactions (
  room_no integer not null,
  redacts text not null,
  event_no integer not null,
  primary key (room_no, redacts, event_no)
){rowless};

create table room_aliases (
  room_alias text primary key,
  room_no integer not null,
  creator text not null,
  created_ms integer not null
){rowless};
create index room_aliases_by_room on room_aliases (room_no);

create table receipts (
  room_no integer not null,
  user_id text not null,
  type text not null,
  thread_id text not null,
  event_id text not null,
  event_position integer not null,
  ts_ms integer not null,
  position integer not null,
  primary key (room_no, user_id, type, thread_id)
){rowless};
create index receipts_by_position on receipts (room_no, position);

-- room_no 0 is the account itself.
create table account_data (
  user_id text not null,
  room_no integer not null,
  type text not null,
  content text not null,
  position integer not null,
  primary key (user_id, room_no, type)
){rowless};
create index account_data_by_position on account_data (user_id, position);

create table push_rules (user_id text primary key, rules text not null, position integer not null){rowless};

create table filters (user_id text not null, filter_id integer not null, filter text not null, primary key (user_id, filter_id)){rowless};

-- Unread counts up to a position, so that a reader never counts a long history again.
create table unread_counts (
  user_id text not null,
  room_no integer not null,
  thread_id text not null,
  counted_to integer not null,
  since_position integer not null,
  notify_count integer not null,
  highlight_count integer not null,
  primary key (user_id, room_no, thread_id)
){rowless};
`;
