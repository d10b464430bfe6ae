-- Messages that wait to be handed to the mail server.
CREATE TABLE mail(
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    reply_to TEXT,
    next_at BIGINT NOT NULL,
    failures BIGINT NOT NULL
);
CREATE INDEX mail_due ON mail(next_at, id);
