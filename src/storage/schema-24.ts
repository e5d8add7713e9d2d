/** Key backups: versions of them, and the sessions that each holds, encrypted by clients. */
export const SCHEMA_24 = `
create table key_backups (
  user_id text not null,
  version integer not null,
  algorithm text not null,
  auth_data text not null,
  etag bigint not null default 0,
  sessions integer not null default 0,
  is_deleted integer not null default 0,
  primary key (user_id, version)
){rowless};

create table key_backup_sessions (
  user_id text not null,
  version integer not null,
  session_id text not null,
  room_id text not null,
  first_message_index bigint not null,
  forwarded_count bigint not null,
  is_verified integer not null,
  session_data text not null,
  primary key (user_id, version, session_id, room_id)
);
create index key_backup_sessions_by_room on key_backup_sessions (user_id, version, room_id, session_id);
`;
