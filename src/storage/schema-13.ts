/**
 * What other servers are to be told: events in the order of the log, which servers were in a room from when to when, and
 * those servers that do not have everything yet.
 */
export const SCHEMA_13 = `
create table outgoing (
  position {bigint_key},
  room_no integer not null,
  event_no integer not null,
  also_to text,
  origin text
);
create index outgoing_by_room on outgoing (room_no, position);
create index outgoing_also_to on outgoing (also_to, position) where also_to is not null;

create table room_servers (
  room_no integer not null,
  server text not null,
  from_position integer not null,
  to_position integer,
  primary key (room_no, server, from_position)
){rowless};
create index room_servers_by_server on room_servers (server, room_no);
create index room_servers_gone on room_servers (room_no, to_position) where to_position is not null;

create table lagging_destinations (
  destination text primary key,
  position integer not null,
  tried_position integer,
  failing_since_ms integer
){rowless};
`;
