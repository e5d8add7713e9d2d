/** Keys of other servers, and those servers' newest words on them. */
export const SCHEMA_11 = `
-- Several keys of one ID follow each other in time; what each of them signed counts from valid_from_ms to valid_until_ms.
create table server_keys (
  server_name text not null,
  key_id text not null,
  public_key text not null,
  valid_from_ms integer not null,
  valid_until_ms integer not null,
  primary key (server_name, key_id, public_key)
){rowless};

-- As the server signed it: this is what we hand on to those who ask us for its keys.
create table server_key_words (
  server_name text primary key,
  word text not null,
  valid_until_ms integer not null
){rowless};
`;
