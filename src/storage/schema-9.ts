/** Which version of the policies of this server a user has agreed to; and short-lived tokens by their user. */
export const SCHEMA_9 = `
create table policy_consents (
  user_id text primary key,
  version text not null,
  agreed_ms integer not null
){rowless};

create index short_tokens_by_user on short_tokens (user_id, purpose, valid_until_ms);
`;
