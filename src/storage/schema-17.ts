/**
 * Messages to devices that wait until they are fetched; which of them came already; and EDUs that must not be lost on
 * their way to other servers. By device: primary key; what is to be forgotten: to_device_once_by_time; for one server:
 * primary key, in the order in which they were made.
 */
export const SCHEMA_17 = `
create table to_device_messages (
  user_id text not null,
  device_id text not null,
  position integer not null,
  source text not null,
  message text not null,
  primary key (user_id, device_id, position)
){rowless};

create table to_device_once (
  scope text not null,
  id_hash text not null,
  made_ms integer not null,
  primary key (scope, id_hash)
){rowless};
create index to_device_once_by_time on to_device_once (made_ms);

create table outgoing_edus (
  edu_no {bigint_key},
  edu text not null
);

create table outgoing_edu_targets (
  destination text not null,
  edu_no integer not null,
  replace_key text,
  primary key (destination, edu_no)
){rowless};
create index outgoing_edu_targets_by_edu on outgoing_edu_targets (edu_no);
create index outgoing_edu_targets_by_key on outgoing_edu_targets (replace_key, destination) where replace_key is not null;
`;
