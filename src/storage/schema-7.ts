/** Search: what the readers of the log keep to find messages and users by. */

const BOTH = `
-- How far each reader of the log has come.
create table log_cursors (reader text primary key, position integer not null){rowless};

-- Where the log tells of events whose number is not their position: lists of numbers in JSON.
create table late_events (position {bigint_key}, event_nos text not null);

-- Whom the user directory knows, and by which words: those of the name and of the user ID.
create table user_directory (user_id text primary key, display_name text, avatar_url text){rowless};
create table user_directory_words (word text not null, user_id text not null, primary key (word, user_id)){rowless};

-- Local users whose account or profile changed since the directory last looked; at first it has seen nobody.
create table user_directory_changes (user_id text primary key, position integer not null){rowless};
insert into user_directory_changes (user_id, position) select user_id, 0 from users;

-- Rooms that anybody may join or read: their members are visible to all local users.
create table open_rooms (room_no {bigint_key});

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
create index search_entries_by_token on search_entries using gin (tokens) with (gin_pending_list_limit = 256);
`,
} as const;
