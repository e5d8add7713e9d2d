/** Search: what the readers of the log keep to find messages and users by. */

const BOTH = `
-- How far each reader of the log has come.
create table log_cursors (reader text primary key, position integer not null){rowless};

-- History that was fetched later, by its position alone: search_entries name it by that.
create unique index events_backfilled on events (position) where position < 0;
`;

/**
 * An entry's number is its event's, or its position where that lies before all that we saw happen: the greater, the
 * newer. SQLite keeps postings only (no text, no positions in it): 47 bytes for a message of ten words.
 */
export const SCHEMA_7 = {
  sqlite: `${BOTH}
create virtual table search_entries using fts5(tokens, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
`,
  postgres: `${BOTH}
create table search_entries (entry_no integer primary key, room_no integer not null, tokens int4[] not null);
create index search_entries_by_token on search_entries using gin (tokens);
`,
} as const;
