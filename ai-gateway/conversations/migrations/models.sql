-- The model that the person chose for a conversation, sealed under the person's key; NULL if they chose none.
ALTER TABLE conversations ADD COLUMN model_sealed BLOB;
