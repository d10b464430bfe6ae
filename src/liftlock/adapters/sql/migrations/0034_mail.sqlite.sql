-- Messages that wait to be handed to the mail server.
CREATE TABLE mail(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    reply_to TEXT,
    next_at INTEGER NOT NULL,
    failures INTEGER NOT NULL
);
CREATE INDEX mail_due ON mail(next_at, id);
