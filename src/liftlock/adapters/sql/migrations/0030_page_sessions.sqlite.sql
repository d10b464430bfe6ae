-- Who is signed in to the pages, and links that sign somebody in once. Ids are the sha256 of what the browser holds, so
-- that a stolen database signs nobody in. scopes is NULL where the session has those of the client that it names.
CREATE TABLE page_session(
    id TEXT PRIMARY KEY,
    client_id TEXT NOT NULL,
    scopes TEXT,
    proof TEXT NOT NULL,
    method TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX page_session_of ON page_session(client_id);
CREATE INDEX page_session_expires ON page_session(expires);

CREATE TABLE sign_in_link(
    id TEXT PRIMARY KEY,
    client_id TEXT NOT NULL,
    made_by TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sign_in_link_expires ON sign_in_link(expires);
