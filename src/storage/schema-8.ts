/** What of presence outlives a restart. By user ID: primary key; those who are there through presence_present. */
export const SCHEMA_8 = `
create table presence (
  user_id text primary key,
  status_msg text,
  last_active_ms integer not null,
  is_present integer not null default 0
){rowless};
create index presence_present on presence (user_id) where is_present = 1;

-- The version of the push rules that the counts were counted with.
alter table unread_counts add column rules_position integer not null default 0;
`;
