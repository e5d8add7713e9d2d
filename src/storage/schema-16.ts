/** Rooms that were joined before their members were told, and the joins whose state is still to be fetched. */
export const SCHEMA_16 = `
-- whole_position: where the log stood when the room became whole; null while it is not.
create table partial_rooms (
  room_no {bigint_key},
  resident text not null,
  servers text not null,
  since_ms integer not null,
  whole_position integer
);
create index partial_rooms_open on partial_rooms (room_no) where whole_position is null;

-- Joins of ours in such rooms, the state before which was told without members. starts_anew: nobody of ours was in the
-- room before it.
create table partial_joins (
  room_no integer not null,
  event_no integer not null,
  starts_anew integer not null,
  primary key (room_no, event_no)
){rowless};
`;
