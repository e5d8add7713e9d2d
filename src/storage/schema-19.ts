/**
 * Cross-signing keys of our users, and signatures that they gave. By user: primary keys; for a key that is signed, by
 * whom it concerns: key_signatures_by_target; since when: key_signatures_by_position.
 */
export const SCHEMA_19 = `
create table cross_signing_keys (
  user_id text not null,
  usage text not null,
  key text not null,
  primary key (user_id, usage)
){rowless};

create table key_signatures (
  signer text not null,
  target_user_id text not null,
  target_id text not null,
  key_id text not null,
  signature text not null,
  position integer not null,
  primary key (signer, target_user_id, target_id, key_id)
){rowless};
create index key_signatures_by_position on key_signatures (signer, position);
`;
