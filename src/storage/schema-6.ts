/** Events in relation to each other. */
export const SCHEMA_6 = `
-- A row for each event that relates to another one and may be shown; gone once it is redacted. edit_ts is set where the
-- event is well formed as an edit: when it was sent, by its own clock.
create table relations (
  room_no integer not null,
  target text not null,
  position integer not null,
  rel_type text not null,
  event_no integer not null,
  event_id text not null,
  event_type text not null,
  sender text not null,
  annotation_key text,
  edit_ts integer,
  primary key (room_no, target, position)
){rowless};
create index relations_by_type on relations (room_no, target, rel_type, position);

-- Each event that a thread begins with, and where the thread's last event is.
create table threads (
  room_no integer not null,
  root text not null,
  last_position integer not null,
  primary key (room_no, root)
){rowless};
create index threads_by_position on threads (room_no, last_position);
`;
