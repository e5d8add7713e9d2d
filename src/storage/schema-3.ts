/** Tokens by which new users are let in. */
export const SCHEMA_3 = `
-- uses_allowed null: any number; expiry_ms null: for ever.
create table registration_tokens (
  token text primary key,
  uses_allowed integer,
  completed integer not null default 0,
  expiry_ms integer
){rowless};
`;
