/** What users report to the admins. */
export const SCHEMA_5 = `
-- kind: event, room or user; the other columns name what is meant. Numbers are given out by the log.
create table reports (
  report_no {bigint_key},
  kind text not null,
  received_ms integer not null,
  reporter text not null,
  room_id text,
  event_id text,
  target text,
  score integer,
  reason text not null
);
create index reports_by_kind on reports (kind, report_no);
`;
