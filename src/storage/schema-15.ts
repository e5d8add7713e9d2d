/** Redacted events, whose content is deleted after a time; and what was asked for by a redaction. */
export const SCHEMA_15 = `
alter table events add column is_pruned integer not null default 0;

-- Redacted events by the redaction that took effect; and those whose content is still there.
create index events_redacted on events (redacted_by_no) where redacted_by_no is not null;
create index events_unpruned on events (redacted_by_no) where redacted_by_no is not null and is_pruned = 0;
`;
