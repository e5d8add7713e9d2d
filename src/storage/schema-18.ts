/**
 * Keys of devices, and who learns when they change. Keys of our devices: primary keys; one-time keys of a device in
 * order: one_time_keys_by_device; whose devices changed lately: device_lists_by_position; what we know of the devices of
 * other servers' users: primary keys.
 */
export const SCHEMA_18 = `
create table device_keys (
  user_id text not null,
  device_id text not null,
  keys text not null,
  primary key (user_id, device_id)
){rowless};

create table one_time_keys (
  key_no {bigint_key},
  user_id text not null,
  device_id text not null,
  algorithm text not null,
  key_id text not null,
  key text not null
);
create unique index one_time_keys_by_id on one_time_keys (user_id, device_id, algorithm, key_id);
create index one_time_keys_by_device on one_time_keys (user_id, device_id, algorithm, key_no);

create table fallback_keys (
  user_id text not null,
  device_id text not null,
  algorithm text not null,
  key_id text not null,
  key text not null,
  is_used integer not null default 0,
  primary key (user_id, device_id, algorithm)
){rowless};

create table device_lists (
  user_id text primary key,
  position integer not null,
  stream_id integer not null default 0
){rowless};
create index device_lists_by_position on device_lists (position);

create table remote_device_lists (
  user_id text primary key,
  position integer not null,
  stream_id integer,
  master_key text,
  self_signing_key text
){rowless};

create table remote_devices (
  user_id text not null,
  device_id text not null,
  keys text not null,
  primary key (user_id, device_id)
){rowless};
`;
