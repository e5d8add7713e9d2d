/** Rooms that all local users have forgotten, and since when we know; whoever forgot a room, by room. */
export const SCHEMA_20 = `
create table forgotten_rooms (room_no {bigint_key}, since_ms integer not null);
create index memberships_forgotten on memberships (room_no) where is_forgotten = 1;
`;
