/**
 * What other servers push to us: which transactions were answered how, and events that were acknowledged before their
 * place in the graph was known. By origin and ID: primary keys; what is to be forgotten: received_transactions_by_time.
 */
export const SCHEMA_12 = `
create table received_transactions (
  origin text not null,
  txn_id text not null,
  digest text not null,
  reply text not null,
  received_ms integer not null,
  primary key (origin, txn_id)
){rowless};
create index received_transactions_by_time on received_transactions (received_ms);

create table staged_events (
  staged_no {bigint_key},
  origin text not null,
  room_id text not null,
  wire text not null,
  received_ms integer not null
);
`;
