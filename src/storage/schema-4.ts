/** Tokens that speak for a user for a short while, of which only hashes are kept; and who asked to be forgotten. */
export const SCHEMA_4 = `
-- purpose: login, good once; or openid, by which others are told who a user is.
create table short_tokens (
  token_hash text primary key,
  purpose text not null,
  user_id text not null,
  valid_until_ms integer not null
){rowless};
create index short_tokens_by_end on short_tokens (valid_until_ms);

create index users_erased on users (user_id) where is_erased = 1;
`;
