-- Frozen. What the admin decided about the routes that a node offers, {"approved":[…],"rejected":[…]}.

ALTER TABLE nodes ADD COLUMN routes TEXT NOT NULL DEFAULT '{"approved":[],"rejected":[]}';
