-- What the forge is told of decision tasks; and deliveries that are forgotten once they are too old to be believed again.
ALTER TABLE forge_watch ADD COLUMN kind TEXT NOT NULL DEFAULT 'operation';
CREATE INDEX forge_delivery_at ON forge_delivery(at);
CREATE INDEX forge_work_done ON forge_work(at) WHERE due IS NULL;
