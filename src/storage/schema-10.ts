/** Servers that did not answer lately, and until when they are left alone. */
export const SCHEMA_10 = `
create table server_pauses (
  server_name text primary key,
  paused_until_ms integer not null,
  pause_ms integer not null
){rowless};
`;
